#include "control/metrics/metrics_server.h"

#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <httplib.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/metrics/families.h"

namespace sluice {
namespace {

constexpr absl::Duration kSilenceBound = absl::Minutes(5);

struct Page {
  int code = 200;
  const char* type = "text/plain; charset=utf-8";
  std::string body;
};

Page ProbePage(const ProbeAnswer& answer) {
  constexpr int kServiceUnavailable = 503;
  Page page;
  page.code = answer.good ? page.code : kServiceUnavailable;
  page.body = absl::StrCat(answer.text, "\n");
  return page;
}

}  // namespace

ProbeAnswer Health(absl::Duration since_published) {
  if (since_published > kSilenceBound) {
    return {false, absl::StrCat("the agent's loop has not turned for ", absl::FormatDuration(since_published))};
  }
  return {true, "ok"};
}

ProbeAnswer Readiness(const wire::StatusResponse& status, absl::Duration since_published) {
  if (status.dataplane().state() != "running") {
    return {false, absl::StrCat("the dataplane is ", status.dataplane().state())};
  }
  if (!status.degraded().empty()) {
    return {false, absl::StrCat("degraded: ", absl::StrJoin(status.degraded(), "; "))};
  }
  return Health(since_published);
}

// The status that was published last, and when. Any thread.
class MetricsServer::Board {
 public:
  struct Published {
    wire::StatusResponse status;
    absl::Duration age;
  };

  void Put(wire::StatusResponse status) {
    const std::lock_guard lock(mutex_);
    status_ = std::move(status);
    at_ = std::chrono::steady_clock::now();
  }

  // nullopt before the first status.
  std::optional<Published> Get() const {
    const std::lock_guard lock(mutex_);
    if (!status_.has_value()) {
      return std::nullopt;
    }
    return Published{*status_, absl::FromChrono(std::chrono::steady_clock::now() - at_)};
  }

 private:
  mutable std::mutex mutex_;
  std::optional<wire::StatusResponse> status_;
  std::chrono::steady_clock::time_point at_;
};

class MetricsServer::Http {
 public:
  explicit Http(const Board& board) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    // The library would set SO_REUSEPORT, with which two agents would share an address unnoticed.
    server_.set_socket_options([](socket_t socket) {
      const int on = 1;
      (void)setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      (void)fcntl(socket, F_SETFD, FD_CLOEXEC);
    });
    // One answer for each connection, so that no connection keeps the server from ending.
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kClientPatience);
    server_.set_write_timeout(kClientPatience);
    Serve("/metrics", [&board] { return MetricsPage(board); });
    Serve("/healthz", [&board] {
      const auto published = board.Get();
      return ProbePage(published.has_value() ? Health(published->age) : ProbeAnswer{true, "starting"});
    });
    Serve("/readyz", [&board] {
      const auto published = board.Get();
      return ProbePage(published.has_value() ? Readiness(published->status, published->age)
                                             : ProbeAnswer{false, "starting"});
    });
  }

  ~Http() {
    server_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  bool Listen(const std::string& host, int port) {
    if (!server_.bind_to_port(host, port)) {
      return false;
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // Wait until it runs: stop() does nothing to a server that does not run yet.
    while (!server_.is_running()) {
      std::this_thread::sleep_for(kStartPause);
    }
    return true;
  }

 private:
  static constexpr size_t kThreads = 2;
  static constexpr std::chrono::seconds kClientPatience{2};
  static constexpr std::chrono::milliseconds kStartPause{1};

  template <typename MakePage>
  void Serve(const char* path, MakePage make_page) {
    server_.Get(path, [make_page](const httplib::Request& /*request*/, httplib::Response& response) {
      const Page page = make_page();
      response.status = page.code;
      response.set_content(page.body, page.type);
    });
  }

  static Page MetricsPage(const Board& board) {
    const auto published = board.Get();
    if (!published.has_value()) {
      return ProbePage({false, "starting"});
    }
    Page page;
    page.type = "text/plain; version=0.0.4; charset=utf-8";
    page.body = prometheus::TextSerializer().Serialize(MetricFamilies(published->status, published->age));
    return page;
  }

  httplib::Server server_;
  std::thread thread_;
};

MetricsServer::MetricsServer(std::unique_ptr<Board> board, std::unique_ptr<Http> http)
    : board_(std::move(board)), http_(std::move(http)) {}

MetricsServer::~MetricsServer() = default;

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Listen(const std::string& host, uint16_t port) {
  auto board = std::make_unique<Board>();
  auto http = std::make_unique<Http>(*board);
  if (!http->Listen(host, port)) {
    return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", host, " port ", port,
                                               ": it is taken, or no address of this machine; set [metrics] listen"));
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(board), std::move(http)));
}

void MetricsServer::Publish(wire::StatusResponse status) {
  board_->Put(std::move(status));
}

}  // namespace sluice
