// The levers' names, as messages have them (`method`), and users on the command line. Constants; any thread.
#ifndef SLUICE_CONTROL_WIRE_LEVERS_H_
#define SLUICE_CONTROL_WIRE_LEVERS_H_

namespace sluice::wire {

inline constexpr const char* kCoresLever = "cores";
inline constexpr const char* kSpreadLever = "spread";
inline constexpr const char* kChannelsLever = "channels";
// The cheapest first.
inline constexpr const char* kLevers[] = {kCoresLever, kSpreadLever, kChannelsLever};

}  // namespace sluice::wire

#endif  // SLUICE_CONTROL_WIRE_LEVERS_H_
