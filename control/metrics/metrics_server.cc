#include "control/metrics/metrics_server.h"

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <CivetServer.h>
#include <prometheus/text_serializer.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "control/metrics/families.h"

namespace sluice {
namespace {

constexpr absl::Duration kSilenceBound = absl::Minutes(5);

struct Page {
  int code = 200;
  const char* type = "text/plain; charset=utf-8";
  std::string body;
};

class PageHandler : public CivetHandler {
 public:
  explicit PageHandler(std::function<Page()> page) : page_(std::move(page)) {}

  bool handleGet(CivetServer* /*server*/, mg_connection* connection) override {
    const Page page = page_();
    mg_printf(connection, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
              page.code, mg_get_response_code_text(connection, page.code), page.type, page.body.size());
    mg_write(connection, page.body.data(), page.body.size());
    return true;
  }

 private:
  std::function<Page()> page_;
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
  return Health(since_published);
}

// What was published last, and when.
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

  // nullopt before the first.
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
  // Throws CivetException when it cannot listen.
  Http(const std::string& address, const Board& board)
      : metrics_([&board] { return MetricsPage(board); }),
        health_([&board] {
          const auto published = board.Get();
          return ProbePage(published.has_value() ? Health(published->age) : ProbeAnswer{true, "starting"});
        }),
        readiness_([&board] {
          const auto published = board.Get();
          return ProbePage(published.has_value() ? Readiness(published->status, published->age)
                                                 : ProbeAnswer{false, "starting"});
        }),
        server_(
            std::vector<std::string>{"listening_ports", address, "num_threads", "2", "request_timeout_ms", "5000"}) {
    server_.addHandler("/metrics", metrics_);
    server_.addHandler("/healthz", health_);
    server_.addHandler("/readyz", readiness_);
  }

 private:
  static Page MetricsPage(const Board& board) {
    const auto published = board.Get();
    if (!published.has_value()) {
      return ProbePage({false, "starting"});
    }
    Page page;
    page.type = "text/plain; version=0.0.4; charset=utf-8";
    page.body = prometheus::TextSerializer().Serialize(MetricFamilies(published->status));
    return page;
  }

  PageHandler metrics_;
  PageHandler health_;
  PageHandler readiness_;
  CivetServer server_;  // ends before the handlers do
};

MetricsServer::MetricsServer(std::unique_ptr<Board> board, std::unique_ptr<Http> http)
    : board_(std::move(board)), http_(std::move(http)) {}

MetricsServer::~MetricsServer() = default;

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Listen(const std::string& address) {
  auto board = std::make_unique<Board>();
  try {
    auto http = std::make_unique<Http>(address, *board);
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(board), std::move(http)));
  } catch (const CivetException&) {
    return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", address,
                                               ": it is taken, or no address of this machine; set [metrics] listen"));
  }
}

void MetricsServer::Publish(wire::StatusResponse status) {
  board_->Put(std::move(status));
}

}  // namespace sluice
