#include "tests/traffic/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::flowgen {
namespace {

OptionsResult Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "flowgen");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data());
}

TEST(Options, ReceivesWhereItSendsUnlessTold) {
  const OptionsResult result = Parse({"--tx", "a0", "--netns", "gen", "--dst-mac", "02:00:00:00:00:ff"});
  ASSERT_FALSE(result.exit_code);
  EXPECT_TRUE(result.options.reflects());
  EXPECT_EQ(result.options.dst_mac->at(5), 0xff);
}

TEST(Options, SameNameInAnotherNamespaceIsAnotherInterface) {
  const OptionsResult result = Parse({"--tx", "eth0", "--netns", "one", "--rx", "eth0", "--rx-netns", "two"});
  ASSERT_FALSE(result.exit_code);
  EXPECT_FALSE(result.options.reflects());
}

TEST(Options, MistakesAreUsageErrors) {
  const std::vector<std::vector<const char*>> mistakes = {
      {},
      {"--tx", "a0"},  // reflects, and no --dst-mac
      {"--tx", "a0", "--both", "--dst-mac", "02:00:00:00:00:ff"},
      {"--tx", "a0", "--rx", "b0", "--dst-mac", "02:00:00:00:00"},
      {"--tx", "a0", "--rx", "b0", "--dst-mac", "02:00:00:00:00:ff:00"},
      {"--tx", "a0", "--rx", "b0", "--size", "63"},
      {"--tx", "a0", "--rx", "b0", "--size", "1515"},
      {"--tx", "a0", "--rx", "b0", "--ipv6"},  // does not fit 64 bytes
      {"--tx", "a0", "--rx", "b0", "--ipv6", "--size", "84", "--src-ip", "198.18.0.1"},
      {"--tx", "a0", "--rx", "b0", "--dst-ip", "198.18.0.256"},
      {"--tx", "a0", "--rx", "b0", "--vlan", "4095"},
      {"--tx", "a0", "--rx", "b0", "--flows", "0"},
      {"--tx", "a0", "--rx", "b0", "--rate", "-1"},
      {"--tx", "a0", "--rx", "b0", "--output", "xml"},
      {"--tx", "a0", "--rx", "b0", "--frobnicate"},
  };
  for (const std::vector<const char*>& arguments : mistakes) {
    EXPECT_EQ(Parse(arguments).exit_code, 2) << (arguments.empty() ? "nothing" : arguments.back());
  }
}

TEST(Options, HelpIsNotAnError) {
  EXPECT_EQ(Parse({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace sluice::flowgen
