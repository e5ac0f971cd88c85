// The XDP programs on a device, as libxdp reads them: the parts of a dispatcher, or a program that is alone.
//
// Read them only when they have changed: each reading leaks descriptors of the programs (libxdp 1.3.1,
// xdp_program__from_pin and xdp_multiprog__from_id: xdp_program__fill_from_fd duplicates the descriptor it is given,
// and no caller closes the first one). One thread.
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

// Reads the programs on the device; nullptr when there are none.
absl::StatusOr<Multiprog> ReadMultiprog(int ifindex, const std::string& netdev);

// Lists the programs that see packets. They live as long as `multiprog`.
std::vector<xdp_program*> Programs(xdp_multiprog* multiprog);
// Finds one of them by its name or id; nullptr when there is none such.
xdp_program* FindByName(xdp_multiprog* multiprog, absl::string_view name);
xdp_program* FindById(xdp_multiprog* multiprog, uint32_t id);
// Names them for an error text: "xdp_drop (id 7), xdp_pass (id 9)".
std::string Names(xdp_multiprog* multiprog);
uint32_t OtherPrograms(xdp_multiprog* multiprog);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_XDP_MULTIPROG_H_
