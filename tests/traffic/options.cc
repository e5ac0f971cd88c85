#include "tests/traffic/options.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"

namespace sluice::flowgen {
namespace {

constexpr int kUsageError = 2;
constexpr uint32_t kLargestFrameBytes = 1514;

bool ReadMac(const std::string& text, MacAddress& mac) {
  int end = 0;
  return std::sscanf(text.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
                     &mac[5], &end) == 6 &&
         static_cast<size_t>(end) == text.size();
}

// Returns the problem of the text, or "".
std::string CheckMac(const std::string& text) {
  MacAddress mac;
  return ReadMac(text, mac) ? "" : absl::StrCat("'", text, "' is no MAC address");
}

struct Texts {
  std::string src_ip;
  std::string dst_ip;
  std::string dst_mac;
  std::string back_dst_mac;
  uint16_t vlan = 0;
};

std::string Complete(const CLI::App& app, const Texts& texts, Options& o) {
  if (o.rx.empty()) {
    o.rx = o.tx;
  }
  if (o.rx_netns.empty()) {
    o.rx_netns = o.netns;
  }
  if (o.reflects() && o.both) {
    return "--both needs two interfaces: give --rx";
  }
  if (o.reflects() && texts.dst_mac.empty()) {
    return "--dst-mac is needed when the device reflects: its own MAC address";
  }
  const uint32_t smallest = SmallestFrameBytes(o.format.ipv6);
  if (o.format.size_bytes < smallest) {
    return absl::StrCat("--size: at least ", smallest, " with ", o.format.ipv6 ? "IPv6" : "IPv4");
  }
  const int family = o.format.ipv6 ? AF_INET6 : AF_INET;
  const std::string src = !texts.src_ip.empty() ? texts.src_ip : o.format.ipv6 ? "2001:2::1" : "198.18.0.1";
  const std::string dst = !texts.dst_ip.empty() ? texts.dst_ip : o.format.ipv6 ? "2001:2:0:1::1" : "198.19.0.1";
  if (inet_pton(family, src.c_str(), o.format.src_ip.data()) != 1) {
    return absl::StrCat("--src-ip: '", src, "' is no ", o.format.ipv6 ? "IPv6" : "IPv4", " address");
  }
  if (inet_pton(family, dst.c_str(), o.format.dst_ip.data()) != 1) {
    return absl::StrCat("--dst-ip: '", dst, "' is no ", o.format.ipv6 ? "IPv6" : "IPv4", " address");
  }
  if (!texts.dst_mac.empty()) {
    ReadMac(texts.dst_mac, o.dst_mac.emplace());
  }
  if (!texts.back_dst_mac.empty()) {
    ReadMac(texts.back_dst_mac, o.back_dst_mac.emplace());
  }
  if (app.count("--vlan") > 0) {
    o.format.vlan = texts.vlan;
  }
  return "";
}

}  // namespace

OptionsResult ParseOptions(int argc, const char* const* argv) {
  OptionsResult result;
  Options& o = result.options;
  Texts texts;
  std::string output = "text";
  CLI::App app("Sends numbered packets through a network device and accounts for every one of them");

  app.add_option("--tx", o.tx, "interface to send on (A)")->required();
  app.add_option("--rx", o.rx, "interface to receive on (B); default: A, for a device that reflects");
  app.add_option("--netns", o.netns, "network namespace of the interfaces");
  app.add_option("--rx-netns", o.rx_netns, "network namespace of B, when it is another one");
  app.add_flag("--both", o.both, "send from B to A as well");

  app.add_option("--flows", o.flows, "UDP flows, sent in turn")->check(CLI::Range(1u, kMaxFlows));
  app.add_option("--rate", o.rate_pps, "packets a second and direction; 0: as fast as possible")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--duration", o.duration_s, "seconds; without it and --count: until SIGINT or SIGTERM")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--count", o.count, "packets in each direction");
  app.add_option("--window", o.window, "closed loop: the most packets outstanding in each direction");
  app.add_option("--settle", o.settle_s, "seconds of silence to wait for late packets")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();

  app.add_option("--size", o.format.size_bytes, "frame bytes without FCS and VLAN tag")
      ->check(CLI::Range(SmallestFrameBytes(false), kLargestFrameBytes))
      ->capture_default_str();
  app.add_flag("--ipv6", o.format.ipv6, "IPv6 instead of IPv4");
  app.add_option("--vlan", texts.vlan, "802.1Q VLAN id")->check(CLI::Range(0, 4094));
  app.add_option("--src-ip", texts.src_ip, "first source address, of 60,000 flows; default: 198.18.0.1");
  app.add_option("--dst-ip", texts.dst_ip, "default: 198.19.0.1");
  app.add_option("--dst-port", o.format.dst_port, "UDP port")->capture_default_str();
  app.add_option("--dst-mac", texts.dst_mac, "default: B's")->check(CheckMac);
  app.add_option("--back-dst-mac", texts.back_dst_mac, "of packets from B to A; default: A's")->check(CheckMac);

  app.add_option("-o,--output", output, "text or json")->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--progress", o.progress, "a line on stderr every second");
  app.add_option("--timeline", o.timeline_ms, "report arrivals per interval of this many milliseconds");
  app.add_flag("--per-flow", o.per_flow, "report every flow");
  app.add_flag("--exact", o.require_exact, "exit with 1 unless every packet came once, in order and unharmed");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    result.exit_code = app.exit(error) == 0 ? 0 : kUsageError;
    return result;
  }
  o.json = output == "json";
  const std::string problem = Complete(app, texts, o);
  if (!problem.empty()) {
    std::cerr << problem << "\nRun with --help for more information.\n";
    result.exit_code = kUsageError;
  }
  return result;
}

}  // namespace sluice::flowgen
