// What libxdp says is on a device: the parts of its dispatcher, or a program that is alone.
//
// Each reading leaves descriptors of the programs open (libxdp 1.3.1, xdp_program__from_pin and xdp_multiprog__from_id:
// xdp_program__fill_from_fd duplicates the descriptor it is given, and nobody closes the first): to be read when
// something has changed, not again and again.
#ifndef SLUICE_CONTROL_KERNEL_XDP_MULTIPROG_H_
#define SLUICE_CONTROL_KERNEL_XDP_MULTIPROG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <xdp/libxdp.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct MultiprogClose {
  void operator()(xdp_multiprog* m) const { xdp_multiprog__close(m); }
};
using Multiprog = std::unique_ptr<xdp_multiprog, MultiprogClose>;

// What is on the device; nullptr when nothing is.
absl::StatusOr<Multiprog> ReadMultiprog(int ifindex, const std::string& netdev);

// The programs that see packets. They live as long as `multiprog`.
std::vector<xdp_program*> Programs(xdp_multiprog* multiprog);
// One of them, by its name or id; nullptr when it is not among them.
xdp_program* FindByName(xdp_multiprog* multiprog, absl::string_view name);
xdp_program* FindById(xdp_multiprog* multiprog, uint32_t id);
// "xdp_drop (id 7), xdp_pass (id 9)".
std::string Names(xdp_multiprog* multiprog);
uint32_t OtherPrograms(xdp_multiprog* multiprog);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_XDP_MULTIPROG_H_
