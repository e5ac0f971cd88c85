// Every key of the configuration file, in one place. The parser takes the words it allows from here (config.cc),
// `sluicectl config diff` whether a change needs a restart (config_diff.h); sluice.toml(5) and the README's table
// are made from it (key_docs.h).
#ifndef SLUICE_CONTROL_CONFIG_KEYS_H_
#define SLUICE_CONTROL_CONFIG_KEYS_H_

#include <string>

#include "absl/types/span.h"

namespace sluice {

// One of the words that a key takes.
struct KeyWord {
  const char* word;
  const char* meaning;
};

// In the order of the enums of config.h.
inline constexpr KeyWord kOnDataplaneDownWords[] = {
    {"pass", "to the kernel"}, {"drop", "nowhere"}, {"hold", "in the rings, for the next dataplane"}};
inline constexpr KeyWord kModeWords[] = {{"auto", "zero-copy where it is sound, else copy, else skb"},
                                         {"zerocopy", "the device reads and writes our memory"},
                                         {"copy", "the kernel copies"},
                                         {"skb", "XDP behind the driver; any device"}};
inline constexpr KeyWord kPollWords[] = {
    {"adaptive", "sleeps when idle"}, {"busy", "never sleeps"}, {"interrupt", "sleeps at once"}};
inline constexpr KeyWord kOffloadWords[] = {{"auto", "on virtio_net, where nothing speaks against it"},
                                            {"on", "on any driver, where nothing speaks against it"},
                                            {"off", "every packet goes through the dataplane"}};

struct KeyDoc {
  const char* table;  // "port"; every table but "dataplane", "function" and "metrics" may be there many times
  const char* key;    // "netdev"
  absl::Span<const KeyWord> words;  // all it takes; none: see `values`
  const char* values;               // what it takes; "" where `words` says it
  const char* standard;             // when it is left out; "": it must be there
  const char* text;                 // what it is for
  bool live;                        // `sluicectl config apply` changes it; the others need a restart
};

// In the order of the documentation.
absl::Span<const KeyDoc> KeyDocs();
// It must be one of them.
const KeyDoc& FindKey(const std::string& table, const std::string& key);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_KEYS_H_
