// What a worker sleeps on: its waker and the sockets of its lanes, any number of them at the price of one.
//
// By epoll, since the set is the same from one sleep to the next: poll() looks at every descriptor twice for each
// sleep, and a look at an AF_XDP socket also sends what its transmit ring holds (xsk_poll in net/xdp/xsk.c). But a
// socket that is listened to has a price for those who are awake, too: each frame that is sent wakes who waits for room
// in the socket buffer (sock_wfree -> sock_def_write_space in net/core/sock.c), a tenth of what a frame costs, though
// nobody here does. The kernel keeps a descriptor's place in the set for as long as anybody has it open, the agent say,
// so it must be removed before it is closed.
//
// Threads: one at a time.
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
  bool ok() const { return static_cast<bool>(epoll_); }

  // `fd` is a member from now on, listened to or not; its place is behind all others.
  void Add(int fd, bool wanted) {
    members_.push_back({fd});
    Listen(members_.size() - 1, wanted);
  }
  // Members behind it move up.
  void Remove(int fd) {
    const auto member = std::find_if(members_.begin(), members_.end(), [fd](const Member& m) { return m.fd == fd; });
    if (member != members_.end()) {
      Listen(static_cast<size_t>(member - members_.begin()), false);
      members_.erase(member);
    }
  }
  // Whether the member at `place` ends a sleep when it becomes readable. Costs a system call when that changes.
  void Listen(size_t place, bool wanted) {
    Member& member = members_[place];
    if (member.listened != wanted) {
      member.listened = wanted;
      member.heard = Control(wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, member);
    }
  }

  // Sleeps until a member is readable, for at most `timeout_ms` (-1: for ever). One that the kernel would not take
  // into the set is looked for all the same, by short sleeps. Returns one that is readable, none (-1) after a timeout.
  int Wait(int timeout_ms) {
    const bool all_heard =
        std::all_of(members_.begin(), members_.end(), [](const Member& m) { return m.heard || !m.listened; });
    if (!all_heard && (timeout_ms < 0 || timeout_ms > kUnheardMs)) {
      timeout_ms = kUnheardMs;
    }
    epoll_event event;
    return epoll_wait(epoll_.get(), &event, 1, timeout_ms) == 1 ? event.data.fd : -1;
  }

 private:
  static constexpr int kUnheardMs = 1;

  struct Member {
    int fd;
    bool listened = false;
    bool heard = false;
  };

  bool Control(int operation, const Member& member) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = member.fd;
    return epoll_ctl(epoll_.get(), operation, member.fd, &event) == 0;
  }

  const UniqueFd epoll_;
  std::vector<Member> members_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_WORKER_WAIT_SET_H_
