#include "control/kernel/netlink.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

// The kernel builds dump messages of up to 32 KiB (net/netlink/af_netlink.c: netlink_recvmsg).
constexpr size_t kReceiveBytes = 65536;

// NLMSGERR_ATTR_MSG behind an acknowledgement; empty when the kernel has nothing to add.
std::string ExtackMessage(const nlmsghdr* message) {
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) {
    return "";
  }
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  size_t offset = sizeof(nlmsgerr);
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) {
    offset += error->msg.nlmsg_len - NLMSG_HDRLEN;  // our request, echoed
  }
  std::string words;
  ForEachAttribute(message, offset, [&words](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG) {
      const char* text = mnl_attr_get_str(attribute);
      words.assign(text, strnlen(text, mnl_attr_get_payload_len(attribute)));
    }
  });
  return words;
}

int Visit(const nlattr* attribute, void* visit) {
  (*static_cast<absl::FunctionRef<void(const nlattr*)>*>(visit))(attribute);
  return MNL_CB_OK;
}

}  // namespace

void ForEachAttribute(const nlmsghdr* message, size_t header_bytes, absl::FunctionRef<void(const nlattr*)> visit) {
  mnl_attr_parse(message, static_cast<unsigned>(header_bytes), Visit, &visit);
}

void ForEachAttribute(const nlattr* nest, absl::FunctionRef<void(const nlattr*)> visit) {
  mnl_attr_parse_nested(nest, Visit, &visit);
}

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags) : buffer_(new std::byte[kCapacityBytes]()) {
  nlmsghdr* h = mnl_nlmsg_put_header(buffer_.get());
  h->nlmsg_type = type;
  h->nlmsg_flags = NLM_F_REQUEST | flags;
  if ((flags & NLM_F_DUMP) != NLM_F_DUMP) {
    h->nlmsg_flags |= NLM_F_ACK;
  }
}

absl::StatusOr<Netlink> Netlink::Open(int protocol) {
  mnl_socket* socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
  if (socket == nullptr) {
    return KernelError(errno, "opening a netlink socket");
  }
  Netlink netlink(socket);
  // For the kernel's own words; a kernel that refuses these two options is no reason to fail.
  int on = 1;
  mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof(on));
  mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    return KernelError(errno, "binding a netlink socket");
  }
  return netlink;
}

absl::Status Netlink::Ask(NetlinkRequest& request, absl::string_view doing) {
  return Ask(request, doing, [](const nlmsghdr*) {});
}

absl::Status Netlink::Ask(NetlinkRequest& request, absl::string_view doing,
                          absl::FunctionRef<void(const nlmsghdr*)> on_answer) {
  request.header()->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), request.header(), request.header()->nlmsg_len) < 0) {
    return KernelError(errno, doing);
  }
  std::vector<char> buffer(kReceiveBytes);
  while (true) {
    const ssize_t received = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (received < 0) {
      if (errno == EINTR) {
        continue;
      }
      return KernelError(errno, doing);
    }
    int left = static_cast<int>(received);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence_) {
        continue;  // a notification
      }
      if (message->nlmsg_type == NLMSG_DONE) {
        return absl::OkStatus();
      }
      if (message->nlmsg_type == NLMSG_ERROR) {
        const int error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message))->error;
        return error == 0 ? absl::OkStatus() : KernelError(-error, doing, ExtackMessage(message));
      }
      on_answer(message);
    }
  }
}

absl::StatusOr<uint16_t> Netlink::FamilyId(const std::string& name) {
  NetlinkRequest request(GENL_ID_CTRL, 0);
  request.PutHeader<genlmsghdr>()->cmd = CTRL_CMD_GETFAMILY;
  request.PutString(CTRL_ATTR_FAMILY_NAME, name);
  uint16_t id = 0;
  absl::Status status =
      Ask(request, absl::StrCat("looking up generic netlink family ", name), [&id](const nlmsghdr* answer) {
        ForEachAttribute(answer, sizeof(genlmsghdr), [&id](const nlattr* attribute) {
          if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID) {
            id = mnl_attr_get_u16(attribute);
          }
        });
      });
  if (!status.ok()) {
    return status;
  }
  return id;
}

}  // namespace sluice
