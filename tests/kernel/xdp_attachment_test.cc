#include "control/kernel/xdp_attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/bpf_programs.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

class XdpAttachmentTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (!IsSkipped()) {
      MakePort("port0", "wire0", 2);
    }
  }

  // Returns the id of the program on the device; 0 if there is none.
  static uint32_t IdOnDevice(const std::string& netdev) {
    uint32_t id = 0;
    EXPECT_EQ(bpf_xdp_query_id(static_cast<int>(if_nametoindex(netdev.c_str())), 0, &id), 0);
    return id;
  }

  // Returns the pins of libxdp's dispatchers, including those left by netdevs of earlier tests.
  static std::vector<std::string> LibxdpPins() {
    std::vector<std::string> pins;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/fs/bpf/xdp", error)) {
      pins.push_back(entry.path());
    }
    std::sort(pins.begin(), pins.end());
    return pins;
  }

  absl::StatusOr<XdpAttachment> Attach(ModeSetting setting = ModeSetting::kCopy) {
    return XdpAttachment::AttachOrAdopt("port0", SteerObject(), pin_dir_, setting);
  }

  // Attaches sluice_steer with the given ABI version, as another agent would have done.
  void AttachWithAbi(uint32_t version) {
    bpf_object_open_opts options{};
    options.sz = sizeof(options);
    std::filesystem::create_directories(pin_dir_);
    options.pin_root_path = pin_dir_.c_str();
    bpf_object* object = bpf_object__open_file(SteerObject().c_str(), &options);
    ASSERT_NE(object, nullptr);
    bpf_map* rodata = nullptr;
    bpf_map* map;
    bpf_object__for_each_map(map, object) {
      if (std::string(bpf_map__name(map)).ends_with(".rodata")) {
        rodata = map;
      }
    }
    ASSERT_NE(rodata, nullptr);
    size_t bytes = 0;
    const auto* words = static_cast<const uint32_t*>(bpf_map__initial_value(rodata, &bytes));
    std::vector<uint32_t> value(words, words + bytes / sizeof(uint32_t));
    std::replace(value.begin(), value.end(), uint32_t{SLUICE_ABI_VERSION}, version);
    ASSERT_EQ(bpf_map__set_initial_value(rodata, value.data(), bytes), 0);
    ASSERT_EQ(bpf_object__load(object), 0);
    const bpf_program* program = bpf_object__find_program_by_name(object, "sluice_steer");
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(if_nametoindex("port0")), bpf_program__fd(program), XDP_FLAGS_DRV_MODE,
                             nullptr),
              0);
    bpf_object__close(object);
  }
};

TEST_F(XdpAttachmentTest, AttachesSuspendsResumesAndLeavesNothing) {
  const std::vector<std::string> pins_before = LibxdpPins();
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_EQ(attachment->mode(), XdpMode::kNative);
  EXPECT_FALSE(attachment->adopted());
  EXPECT_EQ(attachment->other_programs(), 0u);
  EXPECT_TRUE(std::filesystem::exists(pin_dir_ + "/sluice_xsks"));
  const uint32_t id = IdOnDevice("port0");
  EXPECT_NE(id, 0u);

  for (int round = 0; round < 3; ++round) {
    EXPECT_OK(attachment->Suspend());
    EXPECT_OK(attachment->Suspend()) << "the second call does nothing";
    EXPECT_TRUE(attachment->suspended());
    EXPECT_EQ(IdOnDevice("port0"), 0u);
    EXPECT_OK(attachment->Resume());
    EXPECT_OK(attachment->Resume()) << "the second call does nothing";
    EXPECT_FALSE(attachment->suspended());
    EXPECT_EQ(IdOnDevice("port0"), id) << "the same program";
  }
  EXPECT_NE(Output("xdp-loader status port0").find("sluice_steer"), std::string::npos);

  EXPECT_OK(attachment->Remove(false));
  EXPECT_EQ(IdOnDevice("port0"), 0u);
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
  EXPECT_EQ(LibxdpPins(), pins_before);
}

TEST_F(XdpAttachmentTest, SuspendingAndResumingLeavesNoDescriptorOpen) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  const auto open_descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = open_descriptors();
  for (int round = 0; round < 10; ++round) {
    ASSERT_OK(attachment->Suspend());
    ASSERT_OK(attachment->Resume());
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_OK(attachment->Remove(false));
}

TEST_F(XdpAttachmentTest, OutlivesItsOwnerAndIsAdopted) {
  ASSERT_OK(Attach());
  const uint32_t id = IdOnDevice("port0");
  EXPECT_NE(id, 0u);
  absl::StatusOr<XdpAttachment> next = Attach();
  ASSERT_OK(next);
  EXPECT_TRUE(next->adopted());
  EXPECT_EQ(IdOnDevice("port0"), id);
  EXPECT_OK(next->Suspend());
  EXPECT_OK(next->Remove(false));
  EXPECT_EQ(IdOnDevice("port0"), 0u);
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

TEST_F(XdpAttachmentTest, AdoptsAProgramThatXdpLoaderAttachedAndLeavesItInPlace) {
  LoadByXdpLoader("port0", pin_dir_);
  const uint32_t id = IdOnDevice("port0");
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_TRUE(attachment->adopted());
  EXPECT_EQ(IdOnDevice("port0"), id);
  EXPECT_OK(attachment->Suspend());
  EXPECT_OK(attachment->Remove(/*leave_adopted=*/true));
  EXPECT_EQ(IdOnDevice("port0"), id);
  EXPECT_TRUE(std::filesystem::exists(pin_dir_ + "/sluice_xsks"));
  Shell("xdp-loader unload port0 --all");
}

TEST_F(XdpAttachmentTest, RefusesAProgramWhoseMapsAreNotPinnedThere) {
  LoadByXdpLoader("port0", pin_dir_ + "x");
  const absl::Status status = Attach().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("not pinned"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("xdp-loader"), absl::string_view::npos)
      << "the message must say how to fix it: " << status;
}

TEST_F(XdpAttachmentTest, RefusesAProgramThatUsesOtherMapsThanThePinned) {
  LoadByXdpLoader("wire0", pin_dir_);
  LoadByXdpLoader("port0", pin_dir_ + "x");
  const absl::Status status = Attach().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("other than the one pinned"), absl::string_view::npos) << status;
}

TEST_F(XdpAttachmentTest, RefusesAnotherAbiVersion) {
  AttachWithAbi(SLUICE_ABI_VERSION + 1);
  const absl::Status status = Attach().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find(
                absl::StrCat("has ABI version ", SLUICE_ABI_VERSION + 1, ", this agent has ", SLUICE_ABI_VERSION)),
            absl::string_view::npos)
      << status;
}

TEST_F(XdpAttachmentTest, AdoptsTheSameAbiVersionWithoutDispatcher) {
  AttachWithAbi(SLUICE_ABI_VERSION);
  const absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_TRUE(attachment->adopted());
}

TEST_F(XdpAttachmentTest, RefusesAForeignProgramThatLeavesNoRoom) {
  Shell("ip link set dev port0 xdpdrv obj " + ObjectDir() + "/sluice_bridge_rx.bpf.o sec xdp");
  const uint32_t id = IdOnDevice("port0");
  const absl::Status status = Attach(ModeSetting::kAuto).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("sluice_bridge_r"), absl::string_view::npos)
      << "the message must name the program: " << status;
  EXPECT_NE(status.message().find("unload it first"), absl::string_view::npos) << status;
  EXPECT_EQ(IdOnDevice("port0"), id);
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

TEST_F(XdpAttachmentTest, FallsBackToSkbModeOnlyWhenAllowed) {  // loopback has no native XDP
  const absl::Status refused = XdpAttachment::AttachOrAdopt("lo", SteerObject(), pin_dir_, ModeSetting::kCopy).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_NE(refused.message().find("in native mode"), absl::string_view::npos) << refused;
  EXPECT_NE(refused.message().find("(kernel: "), absl::string_view::npos) << refused;
  EXPECT_FALSE(std::filesystem::exists(pin_dir_)) << "a failed attach must leave nothing behind";

  absl::StatusOr<XdpAttachment> attachment =
      XdpAttachment::AttachOrAdopt("lo", SteerObject(), pin_dir_, ModeSetting::kAuto);
  ASSERT_OK(attachment);
  EXPECT_EQ(attachment->mode(), XdpMode::kSkb);
  EXPECT_OK(attachment->Suspend());
  EXPECT_EQ(IdOnDevice("lo"), 0u);
  EXPECT_OK(attachment->Resume());
  EXPECT_NE(IdOnDevice("lo"), 0u);
  EXPECT_OK(attachment->Remove(false));
  EXPECT_EQ(IdOnDevice("lo"), 0u);
}

TEST_F(XdpAttachmentTest, NativeRefusalCarriesTheKernelsWords) {
  Shell("ethtool -L port0 rx 1 tx 2");  // fewer than the peer sends on
  const absl::Status status = Attach().status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("(kernel: veth: XDP expects number of rx queues not less than peer tx queues)"),
            absl::string_view::npos)
      << status;
}

TEST_F(XdpAttachmentTest, SaysWhenAnotherProgramDetachedIt) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  Shell("xdp-loader unload port0 --all");
  EXPECT_EQ(attachment->Refresh().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(attachment->Suspend().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(attachment->suspended());
  EXPECT_OK(attachment->Remove(false));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

TEST_F(XdpAttachmentTest, ResumeOverAForeignProgramFailsAndKeepsIt) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_OK(attachment->Suspend());
  Shell("ip link set dev port0 xdpdrv obj " + ObjectDir() + "/sluice_bridge_rx.bpf.o sec xdp");
  const uint32_t foreign = IdOnDevice("port0");
  const absl::Status status = attachment->Resume();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(attachment->suspended());
  EXPECT_EQ(IdOnDevice("port0"), foreign);
  Shell("ip link set dev port0 xdpdrv off");
  EXPECT_OK(attachment->Resume());
}

TEST_F(XdpAttachmentTest, ReloadsOverThePinsOfAnAgentThatDiedSuspended) {
  uint32_t map_id = 0;
  {
    absl::StatusOr<XdpAttachment> attachment = Attach();
    ASSERT_OK(attachment);
    const absl::StatusOr<UniqueFd> program(UniqueFd(bpf_prog_get_fd_by_id(IdOnDevice("port0"))));
    map_id = DescribeProgram(program->get())->map_ids["sluice_xsks"];
    EXPECT_OK(attachment->Suspend());
  }
  const absl::StatusOr<XdpAttachment> next = Attach();
  ASSERT_OK(next);
  const absl::StatusOr<UniqueFd> program(UniqueFd(bpf_prog_get_fd_by_id(IdOnDevice("port0"))));
  EXPECT_EQ(DescribeProgram(program->get())->map_ids["sluice_xsks"], map_id) << "the bridge still uses these maps";
}

// Shares a dispatcher with another program. Skipped where the kernel refuses freplace, since every program is alone
// there.
class DispatcherTest : public XdpAttachmentTest {
 protected:
  void SetUp() override {
    XdpAttachmentTest::SetUp();
    if (IsSkipped()) {
      return;
    }
    LoadByXdpLoader("wire0", pin_dir_ + "probe");
    const bool dispatcher = Output("xdp-loader status wire0").find("xdp_dispatcher") != std::string::npos;
    Shell("xdp-loader unload wire0 --all");
    if (!dispatcher) {
      GTEST_SKIP() << "this kernel refuses freplace, so libxdp makes no dispatcher";
    }
  }

  static void LoadFilter() { Shell("xdp-filter load -m native port0"); }
  // Returns true if xdp-loader lists the program on port0.
  static bool Has(const std::string& program) {
    return Output("xdp-loader status port0").find(program) != std::string::npos;
  }
};

TEST_F(DispatcherTest, JoinsOthersSuspendsThemAlongAndLeavesThemBehind) {
  LoadFilter();
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_FALSE(attachment->adopted());
  EXPECT_EQ(attachment->other_programs(), 1u);
  for (int round = 0; round < 3; ++round) {
    EXPECT_OK(attachment->Suspend());
    EXPECT_EQ(IdOnDevice("port0"), 0u);
    EXPECT_OK(attachment->Resume());
    EXPECT_TRUE(Has("sluice_steer"));
    EXPECT_TRUE(Has("xdpfilt"));
  }
  EXPECT_OK(attachment->Remove(false));
  EXPECT_FALSE(Has("sluice_steer"));
  EXPECT_TRUE(Has("xdpfilt"));
  Shell("xdp-filter unload port0");
  EXPECT_EQ(IdOnDevice("port0"), 0u);
}

TEST_F(DispatcherTest, NoticesProgramsThatJoinAndLeaveLater) {
  const std::vector<std::string> pins_before = LibxdpPins();
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_EQ(attachment->other_programs(), 0u);
  LoadFilter();
  EXPECT_OK(attachment->Refresh());
  EXPECT_EQ(attachment->other_programs(), 1u);
  Shell("xdp-filter unload port0");
  EXPECT_OK(attachment->Suspend()) << "the dispatcher has been replaced meanwhile";
  EXPECT_EQ(attachment->other_programs(), 0u);
  EXPECT_OK(attachment->Resume());
  EXPECT_OK(attachment->Remove(false));
  EXPECT_EQ(LibxdpPins(), pins_before);
}

TEST_F(DispatcherTest, AdoptsAmongOthers) {
  LoadFilter();
  LoadByXdpLoader("port0", pin_dir_);
  const absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_TRUE(attachment->adopted());
  EXPECT_EQ(attachment->other_programs(), 1u);
}

TEST_F(DispatcherTest, PutsBackTheDispatcherOfAnAgentThatDiedSuspended) {
  LoadFilter();
  uint32_t id = 0;
  {
    absl::StatusOr<XdpAttachment> attachment = Attach();
    ASSERT_OK(attachment);
    id = IdOnDevice("port0");
    EXPECT_OK(attachment->Suspend());
  }
  EXPECT_EQ(IdOnDevice("port0"), 0u);
  const absl::StatusOr<XdpAttachment> next = Attach();
  ASSERT_OK(next);
  EXPECT_EQ(IdOnDevice("port0"), id);
  EXPECT_EQ(next->other_programs(), 1u) << "the other program is back, too";
  EXPECT_TRUE(Has("xdpfilt"));
}

TEST_F(DispatcherTest, SaysWhenItsPinsWereCleanedUpWhileItWasOff) {
  absl::StatusOr<XdpAttachment> attachment = Attach();
  ASSERT_OK(attachment);
  EXPECT_OK(attachment->Suspend());
  Shell("xdp-loader clean port0");
  EXPECT_FALSE(attachment->Resume().ok()) << "the dispatcher is still pinned, but our program in it is not";
  EXPECT_TRUE(attachment->suspended());
  EXPECT_EQ(IdOnDevice("port0"), 0u);
  EXPECT_OK(Attach()) << "a new one can be attached";
  EXPECT_OK(attachment->Remove(false));
}

TEST_F(XdpAttachmentTest, UnknownNetdevAndMissingObjectAreNamed) {
  EXPECT_EQ(XdpAttachment::AttachOrAdopt("nothing0", SteerObject(), pin_dir_, ModeSetting::kCopy).status().code(),
            absl::StatusCode::kNotFound);
  const absl::Status status =
      XdpAttachment::AttachOrAdopt("port0", "/nowhere/x.bpf.o", pin_dir_, ModeSetting::kCopy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("/nowhere/x.bpf.o"), absl::string_view::npos) << status;
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
}

TEST_F(XdpAttachmentTest, PinFolderOutsideABpfFilesystemIsRefused) {
  // /sys/fs is where a bpffs is usually mounted; folders cannot be made there.
  for (const char* folder : {"/tmp/sluice-no-bpffs", "/sys/fs/sluice-no-bpffs"}) {
    const absl::Status status =
        XdpAttachment::AttachOrAdopt("port0", SteerObject(), folder, ModeSetting::kCopy).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_NE(status.message().find("mount -t bpf"), absl::string_view::npos) << status;
  }
  std::filesystem::remove("/tmp/sluice-no-bpffs");
}

}  // namespace
}  // namespace sluice
