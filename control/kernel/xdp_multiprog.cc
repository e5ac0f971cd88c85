#include "control/kernel/xdp_multiprog.h"

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/kernel/kernel_error.h"

namespace sluice {

absl::StatusOr<Multiprog> ReadMultiprog(int ifindex, const std::string& netdev) {
  xdp_multiprog* multiprog = xdp_multiprog__get_from_ifindex(ifindex);
  const long error = libxdp_get_error(multiprog);
  if (error == -ENOENT || multiprog == nullptr) {
    return Multiprog();
  }
  if (error != 0) {
    return KernelError(static_cast<int>(-error), absl::StrCat("reading the XDP programs of ", netdev));
  }
  return Multiprog(multiprog);
}

std::vector<xdp_program*> Programs(xdp_multiprog* multiprog) {
  std::vector<xdp_program*> programs;
  if (xdp_multiprog__is_legacy(multiprog)) {
    programs.push_back(xdp_multiprog__main_prog(multiprog));
    return programs;
  }
  for (xdp_program* p = xdp_multiprog__next_prog(nullptr, multiprog); p != nullptr;
       p = xdp_multiprog__next_prog(p, multiprog)) {
    programs.push_back(p);
  }
  return programs;
}

xdp_program* FindByName(xdp_multiprog* multiprog, absl::string_view name) {
  for (xdp_program* p : Programs(multiprog)) {
    if (xdp_program__name(p) == name) {
      return p;
    }
  }
  return nullptr;
}

xdp_program* FindById(xdp_multiprog* multiprog, uint32_t id) {
  for (xdp_program* p : Programs(multiprog)) {
    if (xdp_program__id(p) == id) {
      return p;
    }
  }
  return nullptr;
}

std::string Names(xdp_multiprog* multiprog) {
  const auto name = [](std::string* out, xdp_program* p) {
    absl::StrAppend(out, xdp_program__name(p), " (id ", xdp_program__id(p), ")");
  };
  return absl::StrJoin(Programs(multiprog), ", ", name);
}

uint32_t OtherPrograms(xdp_multiprog* multiprog) {
  return static_cast<uint32_t>(Programs(multiprog).size()) - 1;
}

}  // namespace sluice
