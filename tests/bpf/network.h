// SPDX-License-Identifier: Apache-2.0
//
// A network namespace of the test's own, with veth pairs, and the two kinds of socket that the
// tests send and receive with.
#ifndef SLUICE_TESTS_BPF_NETWORK_H_
#define SLUICE_TESTS_BPF_NETWORK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "tests/lib/packet.h"

namespace sluice::bpf_test {

// Moves the calling thread into fresh network and mount namespaces, with a bpffs on /sys/fs/bpf.
// Returns why it could not, or nothing.
std::optional<std::string> enter_fresh_namespaces();

// Runs a shell command; true if it exited with 0.
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

// An AF_XDP socket bound to (netdev, queue) in copy mode, with rings nobody reads: enough for a
// program to redirect to. Invalid, with errno set, if the kernel refused.
Descriptor bind_xsk(uint32_t ifindex, uint32_t queue);

// A packet socket that sends and receives whole frames on one netdev.
class Wire {
 public:
  explicit Wire(const std::string& netdev);
  bool valid() const { return static_cast<bool>(socket_); }
  bool send(const Bytes& frame);
  // The next frame, tag and all, or nothing within a fifth of a second.
  std::optional<Bytes> receive();

 private:
  Descriptor socket_;
};

}  // namespace sluice::bpf_test

#endif  // SLUICE_TESTS_BPF_NETWORK_H_
