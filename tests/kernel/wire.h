// The other side of a port: sends frames on a netdev as a sender with offloads would (partial checksums,
// super-packets), and reads frames there. UDP and TCP over IPv4, with or without a VLAN tag.
#ifndef SLUICE_TESTS_KERNEL_WIRE_H_
#define SLUICE_TESTS_KERNEL_WIRE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "dataplane/base/unique_fd.h"
#include "tests/lib/packet.h"

namespace sluice {

struct FrameSpec {
  Mac destination{};
  std::optional<uint16_t> vlan;
  uint8_t protocol = 17;  // UDP; 6 for TCP
  std::string source_ip = "10.7.0.1";
  std::string destination_ip = "10.7.0.2";
  uint16_t destination_port = 9000;
  size_t payload_bytes = 64;
};

// The frame with the checksum of the transport header left to hardware: it holds the pseudo header's sum.
Bytes PartialChecksumFrame(const FrameSpec& spec);
// Whether the IPv4 transport checksum is right.
bool ChecksumIsGood(const Bytes& frame);
// The outermost tag's VLAN id as it stands in the frame.
std::optional<uint16_t> VlanOf(const Bytes& frame);

class Wire {
 public:
  explicit Wire(const std::string& netdev);
  // Sends with a virtio-net header that asks for the checksum, and for segmentation when
  // `segment_bytes` is not 0.
  void Send(const Bytes& frame, uint16_t segment_bytes = 0);
  // From now on frames go out with this mark (SO_MARK) and priority (SO_PRIORITY).
  void Mark(uint32_t value);
  std::vector<Bytes> Receive(size_t count, absl::Duration patience);

 private:
  UniqueFd socket_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_WIRE_H_
