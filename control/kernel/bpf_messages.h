// Keeps libbpf and libxdp from printing, and what they would have printed for the error text: they alone
// see the kernel's extack and the verifier's verdict. SLUICE_BPF_DEBUG in the environment prints
// everything to stderr. Private to this folder. One thread; an inner one collects alone while it lives.
#ifndef SLUICE_CONTROL_KERNEL_BPF_MESSAGES_H_
#define SLUICE_CONTROL_KERNEL_BPF_MESSAGES_H_

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Collects while it lives.
class BpfMessages {
 public:
  BpfMessages();
  ~BpfMessages();
  BpfMessages(const BpfMessages&) = delete;
  BpfMessages& operator=(const BpfMessages&) = delete;

  // The kernel's own message if there was one, else the last warning; "" when there was neither.
  std::string Best() const;
  // KernelError with Best(); starts over. `error` may have either sign, as these libraries return both.
  absl::Status Error(int error, absl::string_view doing);

 private:
  libbpf_print_fn_t former_libbpf_;
  libxdp_print_fn_t former_libxdp_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_BPF_MESSAGES_H_
