#include "control/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "control/metrics/families.h"
#include "control/wire/stream_server.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

constexpr absl::Duration kSilenceBound = absl::Minutes(5);
constexpr absl::Duration kTimeToAsk = absl::Seconds(5);

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
    uint64_t number;  // that no other has
  };

  void Put(wire::StatusResponse status) {
    const std::lock_guard lock(mutex_);
    status_ = std::move(status);
    at_ = std::chrono::steady_clock::now();
    ++number_;
  }

  // nullopt before the first status.
  std::optional<Published> Get() const {
    const std::lock_guard lock(mutex_);
    if (!status_.has_value()) {
      return std::nullopt;
    }
    return Published{*status_, absl::FromChrono(std::chrono::steady_clock::now() - at_), number_};
  }

 private:
  mutable std::mutex mutex_;
  std::optional<wire::StatusResponse> status_;
  std::chrono::steady_clock::time_point at_;
  uint64_t number_ = 0;
};

// Parses requests and writes answers by the library, in memory: sockets are the business of StreamServer, which bounds
// what the library does not (connections, the size and the number of headers, the time that a request may take).
class MetricsServer::Http final : public httplib::Server, public StreamServer::Protocol {
 public:
  explicit Http(const Board& board) : board_(board) {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      const Page page = PageOf(request);
      if (page.code == kMethodNotAllowed) {
        response.set_header("Allow", "GET, HEAD");
      }
      response.status = page.code;
      response.set_content(page.body, page.type);
      return HandlerResponse::Handled;
    });
  }

  absl::Status Serve(UniqueFd listener) {
    StreamServer::Limits limits = kLimits;
    limits.connections = StreamServer::ShareOfDescriptors(limits.connections);
    absl::StatusOr<std::unique_ptr<StreamServer>> server = StreamServer::Start(std::move(listener), limits, *this);
    if (!server.ok()) {
      return server.status();
    }
    server_ = *std::move(server);
    return absl::OkStatus();
  }

  // Connections of one address count together, of IPv6 those of one /64.
  StreamServer::Guest Admit(int connection) override {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    (void)getpeername(connection, reinterpret_cast<sockaddr*>(&address), &size);
    uint64_t peer = 0;
    if (address.ss_family == AF_INET) {
      peer = reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr;
    } else if (address.ss_family == AF_INET6) {
      const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
      if (IN6_IS_ADDR_V4MAPPED(&ip)) {
        peer = ip.s6_addr32[3];
      } else {
        std::memcpy(&peer, &ip, sizeof(peer));
      }
    }
    return {peer, 0, std::nullopt};
  }

  StreamServer::Progress Look(const StreamServer::Guest& /*guest*/, absl::string_view bytes) override {
    using State = StreamServer::Progress::State;
    if (absl::StrContains(bytes, kEndOfHead)) {
      return {State::kComplete, 0, ""};
    }
    if (!bytes.empty() && !absl::ascii_isupper(static_cast<unsigned char>(bytes.front()))) {  // TLS, say
      return {State::kRefused, 0, Refusal("400 Bad Request")};
    }
    if (bytes.size() < kMaxHeadBytes) {
      return {State::kMore, kMaxHeadBytes, ""};
    }
    return {State::kRefused, 0,
            Refusal(absl::StrContains(bytes, kEndOfLine) ? "431 Request Header Fields Too Large" : "414 URI Too Long")};
  }

  void Take(uint64_t id, const StreamServer::Guest& /*guest*/, std::string head) override {
    head.erase(absl::string_view(head).find(kEndOfLine));
    server_->Answer(id, AnswerTo(head));
  }

  void Gone(uint64_t /*id*/) override {}

  std::string Farewell(StreamServer::Reason reason) override {
    return Refusal(reason == StreamServer::Reason::kSlow ? "408 Request Timeout" : "503 Service Unavailable");
  }

 private:
  static constexpr absl::string_view kEndOfLine = "\r\n";
  static constexpr absl::string_view kEndOfHead = "\r\n\r\n";
  static constexpr size_t kMaxHeadBytes = 8192;
  static constexpr StreamServer::Limits kLimits = {.connections = 32,
                                                   .of_one_peer = 16,
                                                   .request_bytes = 32 * kMaxHeadBytes,
                                                   .to_ask = kTimeToAsk,
                                                   .to_take = absl::Seconds(5),
                                                   .discarded_bytes = size_t{256} << 10};
  static constexpr int kMethodNotAllowed = 405;
  static constexpr absl::Duration kFreshFor = absl::Milliseconds(100);

  // One request from memory, and its answer.
  class Texts final : public httplib::Stream {
   public:
    explicit Texts(std::string request) : request_(std::move(request)) {}
    const std::string& answer() const { return answer_; }

    using httplib::Stream::write;
    bool is_readable() const override { return true; }
    bool is_writable() const override { return true; }
    ssize_t read(char* bytes, size_t size) override {
      const size_t n = request_.copy(bytes, size, read_);
      read_ += n;
      return static_cast<ssize_t>(n);
    }
    ssize_t write(const char* bytes, size_t size) override {
      answer_.append(bytes, size);
      return static_cast<ssize_t>(size);
    }
    void get_remote_ip_and_port(std::string& /*ip*/, int& port) const override { port = 0; }
    void get_local_ip_and_port(std::string& /*ip*/, int& port) const override { port = 0; }
    socket_t socket() const override { return INVALID_SOCKET; }

   private:
    const std::string request_;
    size_t read_ = 0;
    std::string answer_;
  };

  static std::string Refusal(absl::string_view status) {
    return absl::StrCat("HTTP/1.1 ", status, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  }

  // No header changes the answer, so the library sees none: ranges that overlap would multiply it.
  std::string AnswerTo(absl::string_view request_line) {
    Texts texts(absl::StrCat(request_line, kEndOfHead));
    bool closed = true;
    try {
      Process(*this, texts, closed);
    } catch (...) {
      return Refusal("400 Bad Request");
    }
    return texts.answer().empty() ? Refusal("400 Bad Request") : texts.answer();
  }

  // Debian 12 has cpp-httplib 0.11, Debian 13 has 0.18.
  template <typename Server>
  static void Process(Server& server, httplib::Stream& stream, bool& closed) {
    const std::function<void(httplib::Request&)> no_change;
    if constexpr (requires { server.process_request(stream, true, closed, no_change); }) {
      server.process_request(stream, /*close_connection=*/true, closed, no_change);
    } else {
      server.process_request(stream, "", 0, "", 0, /*close_connection=*/true, closed, no_change);
    }
  }

  Page PageOf(const httplib::Request& request) {
    if (request.method != "GET" && request.method != "HEAD") {
      return {kMethodNotAllowed, Page().type, "only GET and HEAD\n"};
    }
    const std::optional<Board::Published> published = board_.Get();
    if (request.path == "/metrics") {
      return MetricsPage(published);
    }
    if (request.path == "/healthz") {
      return ProbePage(published.has_value() ? Health(published->age) : ProbeAnswer{true, "starting"});
    }
    if (request.path == "/readyz") {
      return ProbePage(published.has_value() ? Readiness(published->status, published->age)
                                             : ProbeAnswer{false, "starting"});
    }
    constexpr int kNotFound = 404;
    return {kNotFound, Page().type, "there are /metrics, /healthz and /readyz\n"};
  }

  Page MetricsPage(const std::optional<Board::Published>& published) {
    if (!published.has_value()) {
      return ProbePage({false, "starting"});
    }
    // Scrapes without end cost no more than ten a second.
    if (published->number != cached_number_ || published->age > cached_age_ + kFreshFor) {
      cached_ = prometheus::TextSerializer().Serialize(MetricFamilies(published->status, published->age));
      cached_number_ = published->number;
      cached_age_ = published->age;
    }
    return {Page().code, "text/plain; version=0.0.4; charset=utf-8", cached_};
  }

  const Board& board_;
  std::string cached_;
  uint64_t cached_number_ = 0;
  absl::Duration cached_age_;
  std::unique_ptr<StreamServer> server_;  // ends before the members that its thread uses
};

namespace {

// Errors: Unavailable, with errno's text.
absl::StatusOr<UniqueFd> ListenTcp(const std::string& host, uint16_t port) {
  constexpr int kBacklog = 1024;  // no client waits for a second SYN because others come by the thousand
  sockaddr_storage address{};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(address);
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address);
  if (inet_pton(AF_INET, host.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(port);
  } else if (inet_pton(AF_INET6, host.c_str(), &ipv6.sin6_addr) == 1) {
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
  } else {
    return absl::UnavailableError("it is no IP address");
  }
  const socklen_t size = address.ss_family == AF_INET ? sizeof(ipv4) : sizeof(ipv6);
  UniqueFd listener(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  // A client that connects and says nothing stays with the kernel, without a descriptor of ours
  // (net/ipv4/tcp_minisocks.c: tcp_check_req).
  const auto defer_s = static_cast<int>(absl::ToInt64Seconds(kTimeToAsk));
  // Not SO_REUSEPORT, with which two agents would share an address unnoticed.
  if (!listener || setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      setsockopt(listener.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_s, sizeof(defer_s)) != 0 ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listener.get(), kBacklog) != 0) {
    return absl::UnavailableError(strerror(errno));
  }
  return listener;
}

}  // namespace

MetricsServer::MetricsServer(std::unique_ptr<Board> board, std::unique_ptr<Http> http)
    : board_(std::move(board)), http_(std::move(http)) {}

MetricsServer::~MetricsServer() = default;

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Listen(const std::string& host, uint16_t port) {
  auto board = std::make_unique<Board>();
  auto http = std::make_unique<Http>(*board);
  absl::StatusOr<UniqueFd> listener = ListenTcp(host, port);
  if (!listener.ok()) {
    return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", host, " port ", port, ": ",
                                               listener.status().message(), "; set [metrics] listen"));
  }
  if (absl::Status s = http->Serve(*std::move(listener)); !s.ok()) {
    return s;
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(board), std::move(http)));
}

void MetricsServer::Publish(wire::StatusResponse status) {
  board_->Put(std::move(status));
}

}  // namespace sluice
