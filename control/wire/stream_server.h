// Serves strangers on a listening stream socket, in a thread of its own: none of them can hold up the thread that keeps
// traffic alive. A connection sends one request and gets one answer.
//
//   accept ─► Admit ─► reading ─► Look ─► Take … Answer() ─► writing ─► discarding ─► closed
//               │         │        │                            ▲
//               └─────────┴────────┴──── a refusal ─────────────┘
//
// Everything about a connection is bounded (Limits). When a newcomer finds no place, the oldest connection of its own
// peer that has not asked yet loses its place; if the server is full, the oldest one of the peer that has the most.
// Where all places are taken by requests that wait for their answers, the newcomer is sent away.
//
// Descriptors that come along (SCM_RIGHTS) are never received: since Linux 6.16 the kernel refuses to send them
// (SO_PASSRIGHTS), before that it closes them when recv() or close() frees the bytes that they came with
// (include/net/scm.h: scm_recv_unix). A TCP socket that lingers then blocks its last owner, which is this thread.
//
// Threads: the server's own one calls the protocol. Answer() may be called by any thread, also from Take().
#ifndef SLUICE_CONTROL_WIRE_STREAM_SERVER_H_
#define SLUICE_CONTROL_WIRE_STREAM_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class StreamServer {
 public:
  struct Limits {
    size_t connections = 0;    // at a time
    size_t of_one_peer = 0;    // of these
    size_t request_bytes = 0;  // of all requests at a time
    absl::Duration to_ask;     // from the accept to the end of the request; a large one gets a second more for 8 MiB
    absl::Duration to_take;    // from the answer until the peer has taken all of it, and again until it hangs up
    // Read and thrown away behind an answer; later bytes stay with the kernel. A connection that is closed while bytes
    // come in is reset, and its answer may be lost (net/ipv4/tcp.c: __tcp_close). 0: closed at once.
    size_t discarded_bytes = 0;
  };

  // Returns `most`, or less where this process may have few descriptors (RLIMIT_NOFILE): strangers get a sixteenth,
  // four at least, so that a resize and a restart of the dataplane find theirs.
  static size_t ShareOfDescriptors(size_t most);

  struct Guest {
    uint64_t peer = 0;                   // connections with one number count together
    int rights = 0;                      // the protocol's own
    std::optional<std::string> refusal;  // sent instead of reading anything
  };
  // The result of a look at the beginning of a request.
  struct Progress {
    enum class State { kMore, kComplete, kRefused } state = State::kMore;
    size_t total_bytes = 0;  // kMore: the most bytes that the request may have, as far as it is known
    std::string refusal;     // kRefused
  };
  enum class Reason { kSlow, kFull, kNoMemory };

  class Protocol {
   public:
    virtual ~Protocol() = default;
    // Looks at a connection of which nothing has been read.
    virtual Guest Admit(int connection) = 0;
    virtual Progress Look(const Guest& guest, absl::string_view bytes) = 0;
    // Takes a complete request. Answer() for this id may follow at any time.
    virtual void Take(uint64_t id, const Guest& guest, std::string bytes) = 0;
    // The peer hung up before its answer came.
    virtual void Gone(uint64_t id) = 0;
    // Returns the farewell to a connection that is closed before it asked; "" for none.
    virtual std::string Farewell(Reason reason) = 0;
  };

  // Begins to serve. `listener` listens already; the protocol is borrowed. Internal when the kernel has no descriptor.
  static absl::StatusOr<std::unique_ptr<StreamServer>> Start(UniqueFd listener, Limits limits, Protocol& protocol);
  // Closes all connections. Answers that were given before are sent as far as the peers' sockets have room.
  ~StreamServer();
  StreamServer(const StreamServer&) = delete;
  StreamServer& operator=(const StreamServer&) = delete;

  // Sends the answer, unless the peer has gone.
  void Answer(uint64_t id, std::string bytes);

 private:
  StreamServer(UniqueFd listener, UniqueFd wake, Limits limits, Protocol& protocol);
  enum class State { kReading, kWaiting, kWriting, kDiscarding };
  struct Connection {
    UniqueFd fd;
    Guest guest;
    State state = State::kReading;
    int64_t accepted_ns = 0;
    int64_t deadline_ns = 0;  // of this state; kWaiting has none
    size_t total_bytes = 0;   // Progress::total_bytes
    std::string in;
    std::string out;
    size_t sent_bytes = 0;
    size_t discarded_bytes = 0;
  };
  using Connections = std::map<uint64_t, Connection>;  // by id: the oldest first

  void Run();
  short EventsOf(const Connection& connection) const;
  int PollTimeoutMs(int64_t now_ns) const;
  void TakeAnswers();
  void Accept();
  bool FindPlace(const Guest& guest);
  bool Evict(std::optional<uint64_t> peer);
  // Each moves the connection on, and returns false when it is to be closed.
  bool Step(uint64_t id, Connection& connection);
  bool Read(uint64_t id, Connection& connection);
  bool Reply(Connection& connection, std::string bytes);
  bool Write(Connection& connection);
  bool Discard(Connection& connection) const;
  bool Expire(Connection& connection);
  void Close(Connections::iterator connection);
  size_t ReservedBytes() const;

  UniqueFd listener_;
  const Limits limits_;
  Protocol& protocol_;
  UniqueFd wake_;
  Connections connections_;
  uint64_t next_id_ = 1;
  int64_t accept_at_ns_ = 0;  // not before: the process is short of descriptors

  std::mutex mutex_;
  std::vector<std::pair<uint64_t, std::string>> answers_;  // guarded by mutex_
  bool stopping_ = false;                                  // guarded by mutex_

  std::thread thread_;  // the last member: it uses all others
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_WIRE_STREAM_SERVER_H_
