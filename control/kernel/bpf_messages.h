// Collects the messages of libbpf and libxdp, which would otherwise print them, for the error text: these libraries
// alone see the kernel's extack and the verifier's verdict. With SLUICE_BPF_DEBUG in the environment everything is
// printed to stderr as well. Private to this folder. One thread; of nested objects only the inner one collects.
#ifndef SLUICE_CONTROL_KERNEL_BPF_MESSAGES_H_
#define SLUICE_CONTROL_KERNEL_BPF_MESSAGES_H_

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Collects from its construction to its destruction.
class BpfMessages {
 public:
  BpfMessages();
  ~BpfMessages();
  BpfMessages(const BpfMessages&) = delete;
  BpfMessages& operator=(const BpfMessages&) = delete;

  // Returns the kernel's own message if there was one, else the last warning, else "".
  std::string Best() const;
  // Returns a KernelError with Best(), and forgets the messages. `error` may have either sign, as these libraries
  // return both.
  absl::Status Error(int error, absl::string_view doing);

 private:
  libbpf_print_fn_t former_libbpf_;
  libxdp_print_fn_t former_libxdp_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_BPF_MESSAGES_H_
