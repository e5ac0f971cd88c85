#include "control/lanes/kernel_drops.h"

namespace sluice {

KernelDrops& KernelDrops::operator+=(const KernelDrops& other) {
  for (const KernelDropCounter& counter : kKernelDropCounters) {
    this->*counter.count += other.*counter.count;
  }
  return *this;
}

uint64_t KernelDrops::Sum() const {
  uint64_t sum = 0;
  for (const KernelDropCounter& counter : kKernelDropCounters) {
    sum += this->*counter.count;
  }
  return sum;
}

}  // namespace sluice
