#include "tests/cost/recording.h"

#include <cstdint>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace sluice::cost {
namespace {

struct FileHeader {
  uint32_t magic;
  uint16_t major_version;
  uint16_t minor_version;
  int32_t timezone_s;
  uint32_t accuracy;
  uint32_t snapshot_bytes;
  uint32_t link_type;
};
struct FrameHeader {
  uint32_t seconds;
  uint32_t microseconds;
  uint32_t stored_bytes;
  uint32_t length_bytes;
};
static_assert(sizeof(FileHeader) == 24 && sizeof(FrameHeader) == 16, "as in the file");
constexpr uint32_t kMagic = 0xa1b2c3d4;
constexpr uint32_t kEthernet = 1;  // LINKTYPE_ETHERNET

template <typename T>
bool Read(std::ifstream& file, T& header) {
  return static_cast<bool>(file.read(reinterpret_cast<char*>(&header), sizeof(header)));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadRecording(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  FileHeader header;
  if (!Read(file, header) || header.magic != kMagic || header.link_type != kEthernet) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no pcap file of Ethernet frames"));
  }
  std::vector<std::string> frames;
  FrameHeader frame;
  while (Read(file, frame)) {
    std::string& bytes = frames.emplace_back(frame.stored_bytes, '\0');
    if (frame.stored_bytes != frame.length_bytes || frame.stored_bytes > header.snapshot_bytes ||
        !file.read(bytes.data(), frame.stored_bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": frame ", frames.size(), " is not all there"));
    }
  }
  if (frames.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has no frames"));
  }
  return frames;
}

}  // namespace sluice::cost
