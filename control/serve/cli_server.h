// Serves sluicectl over a unix socket: one request a connection, answered one by one, in the order in which they are
// complete. So a resize makes later requests wait, and no two requests run at the same time; but for the loading of a
// list, during which others are answered (list_load.h).
//
// A thread of its own (control/wire/stream_server.h) takes the connections and reads the requests, and sends the
// answers: a client that says nothing, or listens to nothing, costs the agent's loop nothing. It looks at the rights of
// a client (rights.h) before it reads a byte; one without any gets a refusal. All functions here are the loop's.
#ifndef SLUICE_CONTROL_SERVE_CLI_SERVER_H_
#define SLUICE_CONTROL_SERVE_CLI_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control/apply/config_keeper.h"
#include "control/serve/list_load.h"
#include "control/serve/served.h"
#include "control/serve/status.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

class CliServer {
 public:
  // AlreadyExists when another agent answers there.
  static absl::StatusOr<CliServer> Listen(const std::string& path);

  // Readable while requests wait, or lists are loaded.
  int fd() const;
  // Answers one request, if there is one.
  void ServeOne(const Served& served, ConfigKeeper& configs);
  // Applies the file at ConfigKeeper::config_path(), for SIGHUP, when the lists that are being loaded are. Logs the
  // outcome.
  void Reload(const Served& served, ConfigKeeper& configs);

  CliServer(CliServer&&) noexcept;
  ~CliServer();

 private:
  class Desk;
  struct Loading;
  explicit CliServer(std::unique_ptr<Desk> desk);
  wire::Response Answer(const wire::Request& request, const Served& served, ConfigKeeper& configs);
  // Returns the answer to the request, when its lists are loaded or cannot be.
  using AfterLoad = std::function<wire::Response(absl::StatusOr<LoadedLists>)>;
  void Reply(uint64_t id, const wire::Response& response);
  void Load(uint64_t id, std::string words, ListLoad::Job job, AfterLoad after);
  absl::Status StartReplace(uint64_t id, wire::ChangeBlocklistRequest request, const Served& served);
  absl::Status StartApply(uint64_t id, wire::ConfigApplyRequest request, const Served& served, ConfigKeeper& configs);
  bool FinishLoading();

  std::unique_ptr<Desk> desk_;
  std::unique_ptr<Loading> loading_;  // null: no list is being loaded. Ends before the desk, which it wakes.
  bool reload_ = false;               // SIGHUP came while lists were being loaded
  std::vector<WorkerTimes> worker_times_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_CLI_SERVER_H_
