#include "dataplane/functions/count/descriptor.h"

#include "dataplane/function/settings.h"
#include "dataplane/functions/count/source_table.h"

namespace sluice::functions::count {
namespace {

constexpr SettingSpec kSettings[] = {
    {.name = kSources,
     .type = SettingType::kUnsigned,
     .default_text = "65536",
     .help = "Source addresses counted at a time; rounded up to a power of two. 64 bytes each.",
     .least = 64,
     .most = 1U << 22},
    {.name = kIdle,
     .type = SettingType::kDuration,
     .default_text = "5m",
     .help = "A source without a packet for this long is forgotten.",
     .live = true,
     .least = 1'000'000'000,
     .most = 86'400'000'000'000},
};

constexpr NamedHelp kCounters[] = {
    {"sources_created", "Source addresses that got an entry."},
    {"sources_expired", "Entries that were idle for too long."},
    {"uncounted_packets", "Packets whose source found no room in the table."},
};

constexpr SettingSpec kSourcesArguments[] = {
    {.name = kTop,
     .type = SettingType::kUnsigned,
     .default_text = "0",
     .help = "Only this many, by bytes, largest first; 0: all, in no order.",
     .most = 256},
};

constexpr ColumnSpec kSourcesColumns[] = {
    {"source", ColumnType::kText},
    {"packets", ColumnType::kCount},
    {"bytes", ColumnType::kBytes},
    {"idle", ColumnType::kSeconds},
};

constexpr CommandSpec kCommands[] = {
    {.name = "sources",
     .help = "Packets and bytes by source address.",
     .example = "--top 20    # the largest by bytes",
     .access = Access::kRead,
     .arguments = kSourcesArguments,
     .columns = kSourcesColumns},
};

}  // namespace

constinit const FunctionDescriptor kDescriptor = {
    .name = "count",
    .summary = "A bump in the wire that counts packets and bytes by source address.",
    .least_ports = 2,
    .most_ports = 2,
    .admission = Admission::kEveryFrame,
    .settings = kSettings,
    .counters = kCounters,
    .commands = kCommands,
    .state_bytes = [](const Settings& settings) { return SourceTable::BytesFor(settings.Unsigned(kSources)); },
};

}  // namespace sluice::functions::count
