// The ports of the network function. They all have the same number of queue pairs, and are changed together: on all of
// them or on none.
//
// Ownership: it owns the ports, whose destructors change nothing in the kernel (netdev_port.h). One thread.
#ifndef SLUICE_CONTROL_PORT_PORT_SET_H_
#define SLUICE_CONTROL_PORT_PORT_SET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "control/config/config.h"
#include "control/port/port.h"
#include "control/state/saved_state.pb.h"

namespace sluice {

// The numbers of queue pairs to make all ports agree on, best first: the lowest, for which every lane is there
// already, and the highest, for a kernel that refuses to take queues away. One number when they agree.
std::vector<uint32_t> PairsToTry(const std::vector<uint32_t>& port_pairs);

class PortSet {
 public:
  template <typename P>
  class Iterator {
   public:
    explicit Iterator(std::vector<std::unique_ptr<Port>>::const_iterator at) : at_(at) {}
    P& operator*() const { return **at_; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    std::vector<std::unique_ptr<Port>>::const_iterator at_;
  };

  // In the order of the configuration, in which lanes and requests number them.
  void Add(std::unique_ptr<Port> port) { ports_.push_back(std::move(port)); }
  uint32_t size() const { return static_cast<uint32_t>(ports_.size()); }
  Port& operator[](uint32_t index) { return *ports_[index]; }
  const Port& operator[](uint32_t index) const { return *ports_[index]; }
  Iterator<Port> begin() { return Iterator<Port>(ports_.begin()); }
  Iterator<Port> end() { return Iterator<Port>(ports_.end()); }
  Iterator<const Port> begin() const { return Iterator<const Port>(ports_.begin()); }
  Iterator<const Port> end() const { return Iterator<const Port>(ports_.end()); }
  bool Any(absl::FunctionRef<bool(const Port&)> is) const;

  // Changes every port in turn. When one fails, undoes those before it, newest first, and returns the error, followed
  // by the errors of undoing.
  absl::Status ForAllOrNone(absl::FunctionRef<absl::Status(Port&)> change, absl::FunctionRef<absl::Status(Port&)> undo);
  // Goes on past errors and returns the first.
  absl::Status ForEach(absl::FunctionRef<absl::Status(Port&)> change);

  // Of every port; they agree but for a takeover, until MakePairsAgree().
  std::vector<uint32_t> QueuePairs() const;
  uint32_t queue_pairs() const { return ports_.front()->queue_pairs(); }
  // Sets the channels of ports that have another number of pairs than the rest. FailedPrecondition when the kernel
  // refuses each of PairsToTry().
  absl::Status MakePairsAgree();

  // Has all RSS tables use queues [0, to); before, they used [0, from).
  absl::Status SpreadOver(uint32_t from, uint32_t to);
  // Writes the RSS tables of devices that have them, for queues [0, count). A virtio device stops using its table when
  // the driver says how many queues there are (drivers/net/virtio_net.c: VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET): XDP coming
  // or going, and ethtool -L, do that once a table was set.
  absl::Status WriteRssTables(uint32_t count);

  // Compares every port with the kernel, repairs what can be repaired, and says in the log what has changed since the
  // last time. `active_pairs`: as for WriteRssTables; `frame_size_bytes`: as for Port::Reconcile. Returns the first
  // error for which our programs do not see a port's packets: then no resize may begin.
  absl::Status Reconcile(uint32_t active_pairs, std::optional<uint32_t> frame_size_bytes);
  // Takes devices back that had gone, after Reconcile(). Returns true if there was one: its lanes have to be made anew.
  bool TakeBack();
  // True if the last Reconcile() or TakeBack() changed what Save() writes.
  bool saved_changed() const { return saved_changed_; }
  // The differences that the last Reconcile left, each with its port's name in front.
  const std::vector<std::string>& degraded() const { return degraded_; }

  // Every device gives a flow to the pair that its other direction was last sent on.
  bool FlowsFollowTransmit() const;
  // The largest of all, as one frame may leave by any port.
  uint32_t frame_size_bytes() const;

  // Sets, by the ports' names, the policies that hold from the next death of a dataplane on.
  void SetDownPolicies(const std::vector<PortConfig>& ports);
  // Writes every port's state as found into `state`.
  void Save(SavedState& state) const;
  // Puts every device back as it was found, and forgets the ports. Goes on past errors and returns the first. Adds to
  // `put_back` the netdevs, as the configuration names them, of ports without an error.
  absl::Status TakeDown(std::vector<std::string>& put_back);

 private:
  absl::Status SetPairsOf(Port& port, uint32_t pairs);

  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<std::string> degraded_;
  bool saved_changed_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_PORT_SET_H_
