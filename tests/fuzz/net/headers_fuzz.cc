// Parses any bytes as a frame. Parse agrees with a slow and obvious reader, both directions have one hash, XDP and the
// dataplane make the same flow key, and nothing is read beyond the frame's end.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "bpf/flow_key.h"
#include "dataplane/net/flow_hash.h"
#include "dataplane/net/headers.h"
#include "dataplane/offload/flow_key.h"
#include "tests/fuzz/require.h"

namespace {

using sluice::Fragment;
using sluice::Headers;
using sluice::Network;
using sluice::Require;

class Unreadable : public std::exception {};

// Reads bytes in order; throws Unreadable if there are too few.
class Reader {
 public:
  explicit Reader(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}

  uint32_t Byte() { return Take(1).at(0); }
  uint32_t Word() {
    const uint32_t high = Byte();
    return high * 256 + Byte();
  }
  std::vector<uint8_t> Take(size_t count) {
    if (left() < count) {
      throw Unreadable();
    }
    const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(at_);
    at_ += count;
    return {from, from + static_cast<std::ptrdiff_t>(count)};
  }
  // Ends the bytes after `count` more.
  void EndAfter(size_t count) {
    if (left() < count) {
      throw Unreadable();
    }
    bytes_.resize(at_ + count);
  }
  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

 private:
  std::vector<uint8_t> bytes_;
  size_t at_ = 0;
};

struct Expected {
  Network network = Network::kOther;
  Fragment fragment = Fragment::kNone;
  std::vector<uint32_t> vlans;
  uint32_t ethertype = 0;
  size_t l3_offset = 0;
  size_t l4_offset = 0;
  size_t l4_bytes = 0;
  uint32_t protocol = 0;
  uint32_t tcp_flags = 0;
};

// Reads the transport header. The reader ends with the packet.
void ReadTransport(Reader reader, Expected& frame) {
  const size_t bytes = reader.left();
  const bool whole = frame.fragment == Fragment::kNone;
  const bool ipv6 = frame.network == Network::kIpv6;
  const auto fixed = [&reader](size_t count) { reader.Take(count); };
  if (frame.protocol == 6) {
    const std::vector<uint8_t> header = reader.Take(20);
    const size_t header_bytes = header[12] / 16 * 4;
    frame.tcp_flags = header[13];
    if (header_bytes < 20 || (whole && header_bytes > bytes)) {
      throw Unreadable();
    }
  } else if (frame.protocol == 17) {
    const std::vector<uint8_t> header = reader.Take(8);
    const size_t length = header[4] * 256U + header[5];
    if (ipv6 && length == 0) {
      return;
    }
    if (length < 8 || (whole && length > bytes)) {
      throw Unreadable();
    }
  } else if (frame.protocol == 136) {
    fixed(8);
  } else if (frame.protocol == 132) {
    fixed(12);
  } else if (frame.protocol == (ipv6 ? 58U : 1U)) {
    fixed(8);
  }
}

void ReadIpv4(Reader& reader, Expected& frame) {
  const size_t there = reader.left();
  const uint32_t first = reader.Byte();
  reader.Byte();
  const uint32_t total = reader.Word();
  reader.Word();
  const uint32_t fragment = reader.Word();
  reader.Byte();
  frame.protocol = reader.Byte();
  reader.Take(10);
  const uint32_t header = first % 16 * 4;
  if (first / 16 != 4 || header < 20 || total < header || total > there) {
    throw Unreadable();
  }
  reader.EndAfter(total - 20);
  reader.Take(header - 20);
  if (fragment % 0x2000 != 0) {
    frame.fragment = Fragment::kLater;
  } else if (fragment / 0x2000 % 2 != 0) {
    frame.fragment = Fragment::kFirst;
  }
}

bool IsExtension(uint32_t protocol) {
  return protocol == 0 || protocol == 43 || protocol == 44 || protocol == 51 || protocol == 60;
}

void ReadIpv6(Reader& reader, Expected& frame) {
  const uint32_t first = reader.Byte();
  reader.Take(3);
  const uint32_t payload = reader.Word();
  frame.protocol = reader.Byte();
  reader.Take(33);
  if (first / 16 != 6) {
    throw Unreadable();
  }
  if (payload != 0 || frame.protocol != 0) {
    reader.EndAfter(payload);
  }
  for (int i = 0; IsExtension(frame.protocol) && frame.fragment != Fragment::kLater; ++i) {
    if (i == 8 || reader.at() > 512) {
      throw Unreadable();
    }
    const std::vector<uint8_t> header = reader.Take(8);
    if (frame.protocol == 44) {
      const uint32_t field = header[2] * 256U + header[3];
      frame.fragment = field / 8 != 0 ? Fragment::kLater : field % 2 != 0 ? Fragment::kFirst : Fragment::kNone;
    } else {
      reader.Take(header[1] * (frame.protocol == 51 ? 4U : 8U));
    }
    frame.protocol = header[0];
  }
  const bool ports = frame.protocol == 6 || frame.protocol == 17 || frame.protocol == 132 || frame.protocol == 136;
  if (ports && reader.at() > 512 && frame.fragment != Fragment::kLater) {
    throw Unreadable();
  }
}

std::optional<Expected> ReadSlowly(const std::vector<uint8_t>& bytes) try {
  Reader reader(bytes);
  Expected frame;
  reader.Take(12);
  frame.ethertype = reader.Word();
  while (frame.ethertype == 0x8100 || frame.ethertype == 0x88a8) {
    if (frame.vlans.size() == 3) {
      throw Unreadable();
    }
    frame.vlans.push_back(reader.Word() % 4096);
    frame.ethertype = reader.Word();
  }
  frame.l3_offset = reader.at();
  if (frame.ethertype == 0x0800) {
    frame.network = Network::kIpv4;
    ReadIpv4(reader, frame);
  } else if (frame.ethertype == 0x86dd) {
    frame.network = Network::kIpv6;
    ReadIpv6(reader, frame);
  } else {
    reader.EndAfter(0);
  }
  frame.l4_offset = reader.at();
  frame.l4_bytes = reader.left();
  if (frame.network != Network::kOther && frame.fragment != Fragment::kLater) {
    ReadTransport(reader, frame);
  }
  return frame;
} catch (const Unreadable&) {
  return std::nullopt;
}

void CheckHeaders(const Headers& headers, const std::optional<Expected>& expected) {
  Require((headers.network == Network::kUnreadable) == !expected.has_value());
  const Expected& frame = expected.value_or(Expected{.network = Network::kUnreadable});
  Require(headers.network == frame.network);
  Require(headers.fragment == frame.fragment);
  const auto id = std::find_if(frame.vlans.begin(), frame.vlans.end(), [](uint32_t vlan) { return vlan != 0; });
  const uint32_t priority = frame.vlans.empty() ? sluice::kNoVlan : 0;
  Require(headers.vlan == (id == frame.vlans.end() ? priority : *id));
  Require(headers.vlan_tags == frame.vlans.size());
  Require(headers.ethertype == frame.ethertype);
  Require(headers.l3_offset == frame.l3_offset);
  Require(headers.l4_offset == frame.l4_offset);
  Require(headers.l4_bytes == frame.l4_bytes);
  Require(headers.protocol == frame.protocol);
  Require(headers.tcp_flags == frame.tcp_flags);
  Require(headers.flow_hash == 0);
}

// Returns the frame with addresses and ports exchanged, as in an answer.
std::vector<uint8_t> Reversed(std::vector<uint8_t> bytes, const Headers& headers) {
  const auto swap = [&bytes](size_t at, size_t count) {
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto second = first + static_cast<std::ptrdiff_t>(count);
    std::swap_ranges(first, second, second);
  };
  swap(0, 6);
  if (headers.network == Network::kIpv4) {
    swap(headers.l3_offset + 12U, 4);
  }
  if (headers.network == Network::kIpv6) {
    swap(headers.l3_offset + 8U, 16);
  }
  if (headers.has_ports()) {
    swap(headers.l4_offset, 2);
  }
  return bytes;
}

uint32_t HashOf(const std::vector<uint8_t>& bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  return sluice::FlowHash(bytes.data(), size, sluice::Parse(bytes.data(), size));
}

// XDP makes a flow's key from the bytes, the dataplane from the headers.
void CheckFlowKey(const std::vector<uint8_t>& bytes, const Headers& headers) {
  sluice_flow_key xdp;
  sluice_flow_key ours;
  const bool has_key =
      sluice_flow_key_of(bytes.data(), bytes.data() + bytes.size(), static_cast<uint32_t>(bytes.size()), &xdp) != 0;
  Require(sluice::FlowKeyOf(bytes.data(), headers, ours) == has_key);
  Require(!has_key || std::memcmp(&xdp, &ours, sizeof(xdp)) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Frames are at most a page; l4_bytes has 16 bits.
  if (size > 4096) {
    return 0;
  }
  // A copy of exactly the frame's size on the heap, so that the address sanitizer sees a read past its end.
  const std::vector<uint8_t> bytes(data, data + size);
  const Headers headers = sluice::Parse(bytes.data(), static_cast<uint32_t>(size));
  CheckHeaders(headers, ReadSlowly(bytes));
  Headers any;
  sluice::ParseAny(bytes.data(), static_cast<uint32_t>(size), any);
  CheckHeaders(any, ReadSlowly(bytes));
  Require(HashOf(bytes) != 0);
  if (size >= SLUICE_ETHERNET_BYTES) {
    Require(HashOf(Reversed(bytes, headers)) == HashOf(bytes));
    CheckFlowKey(bytes, headers);
  }
  return 0;
}
