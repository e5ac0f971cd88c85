// The other side of a port: sends frames on a netdev like a sender with offloads (partial checksums, super-packets),
// and receives frames there. UDP and TCP over IPv4, with or without a VLAN tag.
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

// Returns the frame with a partial transport checksum: the sum of the pseudo header.
Bytes PartialChecksumFrame(const FrameSpec& spec);
// Returns true if the IPv4 transport checksum is right.
bool ChecksumIsGood(const Bytes& frame);
// Returns the VLAN id in the frame's outermost tag.
std::optional<uint16_t> VlanOf(const Bytes& frame);

class Wire {
 public:
  explicit Wire(const std::string& netdev);
  // Sends with a virtio-net header that asks for the checksum, and for segmentation when
  // `segment_bytes` is not 0.
  void Send(const Bytes& frame, uint16_t segment_bytes = 0);
  // Sets the mark (SO_MARK) and priority (SO_PRIORITY) of the frames sent from now on.
  void Mark(uint32_t value);
  std::vector<Bytes> Receive(size_t count, absl::Duration patience);

 private:
  UniqueFd socket_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_WIRE_H_
