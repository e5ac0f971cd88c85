#include "dataplane/base/rcu.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

absl::Status Failed(const char* step) {
  return absl::InternalError(absl::StrCat(step, " to wait for an RCU grace period: ", strerror(errno)));
}

}  // namespace

absl::StatusOr<RcuWaiter> RcuWaiter::Make() {
  UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "sluice_nothing", sizeof(uint32_t), sizeof(uint32_t), 1, nullptr));
  if (!inner) {
    return Failed("making a map");
  }
  bpf_map_create_opts options{.sz = sizeof(bpf_map_create_opts)};
  options.inner_map_fd = static_cast<uint32_t>(inner.get());
  UniqueFd outer(
      bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "sluice_rcu", sizeof(uint32_t), sizeof(uint32_t), 1, &options));
  if (!outer) {
    return Failed("making an array of maps");
  }
  return RcuWaiter(std::move(outer), std::move(inner));
}

absl::Status RcuWaiter::Wait() const {
  constexpr uint32_t kOnlyKey = 0;
  const int value = inner_.get();
  return bpf_map_update_elem(outer_.get(), &kOnlyKey, &value, BPF_ANY) == 0 ? absl::OkStatus()
                                                                            : Failed("writing an array of maps");
}

}  // namespace sluice
