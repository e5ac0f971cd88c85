// Sends netlink requests, over libmnl: a request, the answers, and the kernel's verdict in the kernel's own words
// (extack, NETLINK_EXT_ACK). Private to this folder. One thread.
#ifndef SLUICE_CONTROL_KERNEL_NETLINK_H_
#define SLUICE_CONTROL_KERNEL_NETLINK_H_

#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// A request under construction: header, the family's own header, then attributes.
class NetlinkRequest {
 public:
  // `flags`: NLM_F_DUMP, or NLM_F_CREATE | NLM_F_EXCL. NLM_F_REQUEST is added.
  NetlinkRequest(uint16_t type, uint16_t flags);

  // Appends a zeroed family header (ifinfomsg, genlmsghdr): before the attributes, or first in a nest that begins with
  // one (VETH_INFO_PEER).
  template <typename T>
  T* PutHeader() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header(), sizeof(T)));
  }

  void PutU32(uint16_t attribute, uint32_t value) { mnl_attr_put_u32(header(), attribute, value); }
  void PutU8(uint16_t attribute, uint8_t value) { mnl_attr_put_u8(header(), attribute, value); }
  void PutFlag(uint16_t attribute) { mnl_attr_put(header(), attribute, 0, nullptr); }
  void PutString(uint16_t attribute, const std::string& value) {
    mnl_attr_put_strz(header(), attribute, value.c_str());
  }
  nlattr* BeginNest(uint16_t attribute) { return mnl_attr_nest_start(header(), attribute); }
  void EndNest(nlattr* nest) { mnl_attr_nest_end(header(), nest); }

  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_.get()); }

 private:
  // Our largest message, a feature bitset of some 60 names, is under 4 KiB.
  static constexpr size_t kCapacityBytes = 16384;
  std::unique_ptr<std::byte[]> buffer_;
};

// Calls `visit` for each attribute of a message behind a family header of `header_bytes`, or of a nest.
// (libmnl's own macros for this are C: they assign from void*.)
void ForEachAttribute(const nlmsghdr* message, size_t header_bytes, absl::FunctionRef<void(const nlattr*)> visit);
void ForEachAttribute(const nlattr* nest, absl::FunctionRef<void(const nlattr*)> visit);

class Netlink {
 public:
  // NETLINK_ROUTE or NETLINK_GENERIC.
  static absl::StatusOr<Netlink> Open(int protocol);

  // Sends the request, and gives every answer to `on_answer` until the kernel's acknowledgement or the dump's end.
  // `doing` opens the error text: "reading channels of eth0".
  absl::Status Ask(NetlinkRequest& request, absl::string_view doing,
                   absl::FunctionRef<void(const nlmsghdr*)> on_answer);
  absl::Status Ask(NetlinkRequest& request, absl::string_view doing);

  // Asks for the id of a generic netlink family, such as "ethtool".
  absl::StatusOr<uint16_t> FamilyId(const std::string& name);

 private:
  struct Closer {
    void operator()(mnl_socket* s) const { mnl_socket_close(s); }
  };
  explicit Netlink(mnl_socket* socket) : socket_(socket) {}

  std::unique_ptr<mnl_socket, Closer> socket_;
  uint32_t sequence_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_NETLINK_H_
