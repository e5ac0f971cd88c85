// The kernel's clocks in nanoseconds, and the id that tells one boot from the next. Any thread; no allocation but in
// BootId().
#ifndef SLUICE_DATAPLANE_BASE_CLOCK_H_
#define SLUICE_DATAPLANE_BASE_CLOCK_H_

#include <cstdint>
#include <string>

namespace sluice {

// CLOCK_MONOTONIC: never goes back, stands still while the machine sleeps. Read without a system call (vDSO).
int64_t MonotonicNs();

// CLOCK_BOOTTIME, since the boot: goes on while the machine sleeps, and nobody can set it. For what a user waits for,
// such as the time to confirm an apply: a wall clock that is corrected after the boot would end the wait at once, or
// never. Comparable only within one boot, see BootId().
int64_t BootClockNs();

// /proc/sys/kernel/random/boot_id; empty when it cannot be read.
std::string BootId();

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_CLOCK_H_
