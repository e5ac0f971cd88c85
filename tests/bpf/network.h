// SPDX-License-Identifier: Apache-2.0
//
// A new network namespace for the test, veth pairs in it, and the two kinds of socket that tests use.
#ifndef SLUICE_TESTS_BPF_NETWORK_H_
#define SLUICE_TESTS_BPF_NETWORK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "tests/lib/packet.h"

namespace sluice::bpf_test {

// Moves the calling thread into fresh network and mount namespaces, with a bpffs on /sys/fs/bpf.
// Returns the reason if it could not.
std::optional<std::string> enter_fresh_namespaces();

// Runs a shell command. Returns true if it exited with 0.
bool shell(const std::string& command);

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Returns an AF_XDP socket bound to (netdev, queue) in copy mode, as a target for redirects; nothing reads its rings.
// The descriptor is invalid, with errno set, if the kernel refused.
Descriptor bind_xsk(uint32_t ifindex, uint32_t queue);

// A packet socket that sends and receives whole frames on one netdev.
class Wire {
 public:
  explicit Wire(const std::string& netdev);
  bool valid() const { return static_cast<bool>(socket_); }
  bool send(const Bytes& frame);
  // Returns the next frame, with its tags; nothing if none comes within a fifth of a second.
  std::optional<Bytes> receive();

 private:
  Descriptor socket_;
};

}  // namespace sluice::bpf_test

#endif  // SLUICE_TESTS_BPF_NETWORK_H_
