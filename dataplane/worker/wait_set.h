// The descriptors that a worker sleeps on: its waker and the sockets of its lanes. Waiting for many costs no more than
// waiting for one.
//
// It uses epoll, since the set is the same from one sleep to the next: poll() looks at every descriptor twice for each
// sleep, and a look at an AF_XDP socket also sends the frames on its transmit ring (net/xdp/xsk.c: xsk_poll). But a
// socket in the set also costs a worker that is awake: each frame that is sent wakes waiters for room in the socket
// buffer (net/core/sock.c: sock_wfree, sock_def_write_space), a tenth of the cost of a frame, though nobody here waits
// for that. So a worker listens to its sockets only while it sleeps now and then.
//
// The kernel keeps a descriptor in the set for as long as any process has its file open, the agent for example. So
// Remove it before it is closed.
//
// Threads: one at a time. Only Add allocates.
#ifndef SLUICE_DATAPLANE_WORKER_WAIT_SET_H_
#define SLUICE_DATAPLANE_WORKER_WAIT_SET_H_

#include <sys/epoll.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class WaitSet {
 public:
  WaitSet() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  // False: errno of the constructor's epoll_create1 says why.
  bool ok() const { return static_cast<bool>(epoll_); }

  // Makes `fd` a member, listened to or not.
  void Add(int fd, bool wanted) {
    states_.resize(std::max(states_.size(), static_cast<size_t>(fd) + 1), State::kIgnored);
    Listen(fd, wanted);
  }
  void Remove(int fd) { Listen(fd, false); }
  // Decides whether the member `fd` ends a sleep when it becomes readable. Costs a system call when that changes.
  void Listen(int fd, bool wanted) {
    State& state = states_[static_cast<size_t>(fd)];
    if (wanted == (state != State::kIgnored)) {
      return;
    }
    unheard_ -= state == State::kUnheard ? 1 : 0;
    const bool heard = Control(wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd);
    state = !wanted ? State::kIgnored : heard ? State::kHeard : State::kUnheard;
    unheard_ += state == State::kUnheard ? 1 : 0;
  }

  // Sleeps until a listened-to member is readable, for at most `timeout_ms` (-1: for ever). Sleeps are short while the
  // kernel refuses a member (kUnheardMs), so that the caller looks for it itself. Returns a readable member, or -1
  // after a timeout.
  int Wait(int timeout_ms) {
    if (unheard_ > 0 && (timeout_ms < 0 || timeout_ms > kUnheardMs)) {
      timeout_ms = kUnheardMs;
    }
    epoll_event event;
    return epoll_wait(epoll_.get(), &event, 1, timeout_ms) == 1 ? event.data.fd : -1;
  }

 private:
  static constexpr int kUnheardMs = 1;

  enum class State : uint8_t {
    kIgnored,
    kHeard,
    kUnheard,  // the kernel refused to take it into the set
  };

  bool Control(int operation, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
  }

  const UniqueFd epoll_;
  std::vector<State> states_;  // by descriptor
  uint32_t unheard_ = 0;       // members in state kUnheard
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKER_WAIT_SET_H_
