// The clock by which an apply that nobody confirms is rolled back: CLOCK_BOOTTIME. It goes on while the machine
// sleeps, as the user's patience does, and nobody sets it: a wall clock that is put right after the boot would roll
// back at once, or not at all. After a reboot it begins anew; the boot's id tells.
#ifndef SLUICE_CONTROL_STATE_BOOT_CLOCK_H_
#define SLUICE_CONTROL_STATE_BOOT_CLOCK_H_

#include <cstdint>
#include <string>

namespace sluice {

// Nanoseconds since the boot.
int64_t BootClockNs();
// /proc/sys/kernel/random/boot_id; empty when it cannot be read.
std::string BootId();

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_BOOT_CLOCK_H_
