#include "control/kernel/bpf_messages.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

// libbpf's words before the extack text (libbpf nlattr.c: libbpf_nla_dump_errormsg).
constexpr char kExtackPrefix[] = "Kernel error message: ";

// The callbacks have no user pointer, so the messages belong to the process.
std::string g_extack;
std::string g_last_warning;

void Collect(bool warning, const char* format, va_list arguments) {
  char line[1024];
  vsnprintf(line, sizeof(line), format, arguments);
  if (getenv("SLUICE_BPF_DEBUG") != nullptr) {
    fputs(line, stderr);
  }
  if (!warning) {
    return;
  }
  const absl::string_view text = absl::StripAsciiWhitespace(line);
  const size_t extack = text.find(kExtackPrefix);
  if (extack != absl::string_view::npos) {
    g_extack = std::string(text.substr(extack + sizeof(kExtackPrefix) - 1));
  } else if (!text.empty()) {
    g_last_warning = std::string(text);
  }
}

int CollectLibbpf(libbpf_print_level level, const char* format, va_list arguments) {
  Collect(level == LIBBPF_WARN, format, arguments);
  return 0;
}

int CollectLibxdp(libxdp_print_level level, const char* format, va_list arguments) {
  Collect(level == LIBXDP_WARN, format, arguments);
  return 0;
}

void Forget() {
  g_extack.clear();
  g_last_warning.clear();
}

}  // namespace

BpfMessages::BpfMessages()
    : former_libbpf_(libbpf_set_print(CollectLibbpf)), former_libxdp_(libxdp_set_print(CollectLibxdp)) {
  Forget();
}

BpfMessages::~BpfMessages() {
  libbpf_set_print(former_libbpf_);
  libxdp_set_print(former_libxdp_);
}

std::string BpfMessages::Best() const {
  return g_extack.empty() ? g_last_warning : g_extack;
}

absl::Status BpfMessages::Error(int error, absl::string_view doing) {
  absl::Status status = KernelError(std::abs(error), doing, Best());
  Forget();
  return status;
}

}  // namespace sluice
