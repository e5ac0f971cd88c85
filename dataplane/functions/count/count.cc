#include "dataplane/functions/count/count.h"

#include <arpa/inet.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dataplane/functions/count/descriptor.h"
#include "dataplane/net/headers.h"

namespace sluice::functions::count {
namespace {

// Every entry is looked at four times in the idle time, so that an entry stays for at most a quarter too long.
constexpr int64_t kLooksPerIdle = 4;
// Entries that a query looks at for a page, which takes about a millisecond. A page of a sparse table may be empty and
// still have a successor.
constexpr uint64_t kLooksPerPage = 65'536;

SourceAddress AddressOf(const void* bytes, size_t count) {
  SourceAddress address{};
  std::memcpy(&address, bytes, count);
  return address;
}

std::vector<Page::Value> RowOf(const Source& source, int64_t now_ns) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(source.family == 4 ? AF_INET : AF_INET6, &source.address, text, sizeof(text));
  const int64_t idle_ns = now_ns - source.last_ns;
  return {std::string(text), source.packets, source.bytes, static_cast<double>(std::max<int64_t>(0, idle_ns)) / 1e9};
}

int64_t MonotonicNow_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

absl::Status Count::Start(const Settings& settings, StateMemory state) {
  idle_ns_ = absl::ToInt64Nanoseconds(settings.Duration(kIdle));
  return state.adopted ? table_.Adopt(state.bytes) : table_.Make(state.bytes);
}

absl::Status Count::Apply(const Settings& settings) {
  idle_ns_ = absl::ToInt64Nanoseconds(settings.Duration(kIdle));
  return absl::OkStatus();
}

void Count::Process(LaneContext& lane, Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) {
    Frame& frame = burst.frames[i];
    CountFrame(lane, frame, burst.headers[i]);
    frame.verdict = Verdict::Transmit(frame.in_port ^ 1U);
  }
}

void Count::CountFrame(LaneContext& lane, const Frame& frame, const Headers& headers) {
  if (!headers.has_ip()) {
    return;
  }
  const bool is_ipv4 = headers.network == Network::kIpv4;
  const SourceAddress address =
      is_ipv4 ? AddressOf(&HeaderAt<Ipv4Header>(frame.data, headers.l3_offset).source, sizeof(be32))
              : AddressOf(&HeaderAt<Ipv6Header>(frame.data, headers.l3_offset).source, sizeof(Ipv6Address));
  bool created = false;
  SourceEntry* entry = table_.Find(is_ipv4 ? 4 : 6, address, lane.now_ns(), created);
  if (entry == nullptr) {
    lane.counter(kUncounted).Add(1);
    return;
  }
  lane.counter(kCreated).Add(created ? 1 : 0);
  entry->packets.fetch_add(1, std::memory_order_relaxed);
  entry->bytes.fetch_add(frame.length_bytes, std::memory_order_relaxed);
  entry->last_ns.store(lane.now_ns(), std::memory_order_relaxed);
}

int64_t Count::Expire(LaneContext& lane, uint32_t budget) {
  const int64_t idle_ns = idle_ns_.load(std::memory_order_relaxed);
  const uint64_t first = next_to_expire_.fetch_add(budget, std::memory_order_relaxed);
  for (uint64_t i = 0; i < budget; ++i) {
    lane.counter(kExpired).Add(table_.ExpireAt(first + i, lane.now_ns(), idle_ns) ? 1 : 0);
  }
  const int64_t calls = static_cast<int64_t>(table_.entries()) / budget + 1;
  return lane.now_ns() + idle_ns / kLooksPerIdle / calls;
}

absl::StatusOr<Page> Count::Query(const sluice::Query& query) {
  if (const uint64_t top = query.arguments.Unsigned(kTop); top > 0) {
    return Top(std::min<uint64_t>(top, query.most_rows));
  }
  uint64_t index = 0;
  if (!query.cursor.empty() && (!absl::SimpleAtoi(query.cursor, &index) || index >= table_.entries())) {
    return absl::InvalidArgumentError(absl::StrCat("'", query.cursor, "' is no cursor of this table"));
  }
  Page page;
  const int64_t now_ns = MonotonicNow_ns();
  const uint64_t end = std::min(table_.entries(), index + kLooksPerPage);
  for (; index < end && page.rows.size() < query.most_rows; ++index) {
    if (const std::optional<Source> source = table_.At(index); source.has_value()) {
      page.rows.push_back(RowOf(*source, now_ns));
    }
  }
  page.next_cursor = index < table_.entries() ? absl::StrCat(index) : "";
  return page;
}

absl::StatusOr<Page> Count::Top(uint64_t rows) const {
  // A heap whose front is the smallest of the largest so far. The order is that of one moment: counts go on changing.
  const auto larger = [](const Source& a, const Source& b) { return a.bytes > b.bytes; };
  std::vector<Source> top;
  for (uint64_t index = 0; index < table_.entries(); ++index) {
    const std::optional<Source> source = table_.At(index);
    if (!source.has_value() || (top.size() == rows && source->bytes <= top.front().bytes)) {
      continue;
    }
    if (top.size() == rows) {
      std::pop_heap(top.begin(), top.end(), larger);
      top.pop_back();
    }
    top.push_back(*source);
    std::push_heap(top.begin(), top.end(), larger);
  }
  std::sort_heap(top.begin(), top.end(), larger);
  Page page;
  const int64_t now_ns = MonotonicNow_ns();
  for (const Source& source : top) {
    page.rows.push_back(RowOf(source, now_ns));
  }
  return page;
}

std::unique_ptr<NetworkFunction> Make() {
  return std::make_unique<Count>();
}

}  // namespace sluice::functions::count
