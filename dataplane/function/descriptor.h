// The descriptor of a network function: everything that others need to know of it, as data.
//
// Agent and sluicectl link descriptors and no other part of a function. They take from them the checks of [function] in
// the configuration, the manual, the names of counters and drop reasons in status and metrics, `sluicectl function …`
// with its help and completion, and the size of the state memory. Constant data: any thread.
//
// A descriptor is a constant: `kDescriptor` in namespace sluice::functions::NAME, in dataplane/functions/NAME/.
// Names are lower case with underscores; they are part of the contract with users.
#ifndef SLUICE_DATAPLANE_FUNCTION_DESCRIPTOR_H_
#define SLUICE_DATAPLANE_FUNCTION_DESCRIPTOR_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace sluice {

class Settings;

enum class SettingType {
  kUnsigned,  // 65536
  kDuration,  // "300s", "5m"
  kBool,      // true
  kWord,      // one of `words`
};

// A key of [function], or an argument of a command. The fields are in the order in which descriptors name them.
struct SettingSpec {  // NOLINT(clang-analyzer-optin.performance.Padding)
  const char* name;
  SettingType type;
  const char* default_text;  // as a user writes it
  const char* help;          // a sentence
  // True: a running function takes a new value (NetworkFunction::Apply). False: a new value needs a restart. Without
  // meaning for arguments.
  bool live = false;
  // Of kUnsigned, and of kDuration in nanoseconds; inclusive.
  uint64_t least = 0;
  uint64_t most = std::numeric_limits<int64_t>::max();
  std::span<const char* const> words = {};  // of kWord
};

// The frames that XDP gives to the function. All others go to the kernel.
enum class Admission {
  kOwnMac,      // sent to the port's MAC address: an endpoint or a router
  kEveryFrame,  // all on the wire; the port becomes promiscuous: a bump in the wire
};

struct NamedHelp {
  const char* name;
  const char* help;  // a sentence
};

enum class Access { kRead, kChange };  // groups sluice and sluice-admin

enum class ColumnType {
  kText,
  kCount,    // a number
  kBytes,    // of data
  kSeconds,  // a duration
};

struct ColumnSpec {
  const char* name;
  ColumnType type;
};

// A command of the function: `sluicectl function NAME --ARGUMENT VALUE`. The answer is a table, in pages.
struct CommandSpec {
  const char* name;
  const char* help;
  const char* example;  // arguments, and a comment: "--top 20    # the largest"
  Access access;
  std::span<const SettingSpec> arguments;
  std::span<const ColumnSpec> columns;
};

// The longest cursor that a page may end with (NetworkFunction::Query), and that a client may send back.
inline constexpr size_t kMaxCursorBytes = 128;

struct FunctionDescriptor {
  const char* name;
  const char* summary;  // a sentence
  uint32_t least_ports;
  uint32_t most_ports;
  Admission admission;
  std::span<const SettingSpec> settings = {};
  std::span<const NamedHelp> counters = {};      // at most kMaxFunctionCounters (stats_segment.h)
  std::span<const NamedHelp> drop_reasons = {};  // at most kMaxFunctionDropReasons
  std::span<const CommandSpec> commands = {};
  // Bytes of state memory, which outlives the process; nullptr: none. `settings` is checked. Live settings must not
  // change it: memory of another size is none that a successor can go on with.
  uint64_t (*state_bytes)(const Settings& settings) = nullptr;
};

// Returns how much state memory the function has with these settings, to the byte; 0: none. Agent and dataplane must
// agree on it.
inline uint64_t StateBytes(const FunctionDescriptor& function, const Settings& settings) {
  return function.state_bytes == nullptr ? 0 : function.state_bytes(settings);
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_DESCRIPTOR_H_
