#include "control/kernel/modes.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Modes, SettingSaysHowXdpIsAttached) {
  const struct {
    ModeSetting setting;
    XdpMode first;
    bool takes_skb;
  } cases[] = {{ModeSetting::kAuto, XdpMode::kNative, true},
               {ModeSetting::kZeroCopy, XdpMode::kNative, false},
               {ModeSetting::kCopy, XdpMode::kNative, false},
               {ModeSetting::kSkb, XdpMode::kSkb, true}};
  for (const auto& c : cases) {
    EXPECT_EQ(FirstXdpMode(c.setting), c.first) << static_cast<int>(c.setting);
    EXPECT_EQ(TakesSkbMode(c.setting), c.takes_skb) << static_cast<int>(c.setting);
  }
}

TEST(Modes, HaveTheNamesOfTheConfiguration) {
  EXPECT_EQ(Name(XskMode::kZeroCopy), std::string("zerocopy"));
  EXPECT_EQ(Name(XskMode::kCopy), std::string("copy"));
  EXPECT_EQ(Name(XskMode::kSkb), std::string("skb"));
  EXPECT_EQ(Name(XdpMode::kNative), std::string("native"));
  EXPECT_EQ(Name(XdpMode::kSkb), std::string("skb"));
}

}  // namespace
}  // namespace sluice
