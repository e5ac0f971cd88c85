#include "control/serve/rights.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr size_t kMaxEntryBytes = size_t{1} << 20;  // of a group with very many members

// Calls `find` with buffers of growing size, until its answer fits. nullopt: there is no such entry.
template <typename Entry, typename Find>
std::optional<Entry> FindEntry(Find find, std::vector<char>& buffer) {
  for (buffer.resize(4096); buffer.size() <= kMaxEntryBytes; buffer.resize(buffer.size() * 4)) {
    Entry entry{};
    Entry* found = nullptr;
    if (find(&entry, buffer.data(), buffer.size(), &found) != ERANGE) {
      return found == nullptr ? std::nullopt : std::optional<Entry>(entry);
    }
  }
  return std::nullopt;
}

std::optional<gid_t> GroupOf(const char* name) {
  std::vector<char> buffer;
  const auto entry = FindEntry<group>([name](group* entry, char* bytes, size_t size,
                                             group** found) { return getgrnam_r(name, entry, bytes, size, found); },
                                      buffer);
  return entry.has_value() ? std::optional<gid_t>(entry->gr_gid) : std::nullopt;
}

std::vector<gid_t> GroupsOf(const ucred& peer) {
  std::vector<gid_t> groups = {peer.gid};
  std::vector<char> buffer;
  const auto user =
      FindEntry<passwd>([&peer](passwd* entry, char* bytes, size_t size,
                                passwd** found) { return getpwuid_r(peer.uid, entry, bytes, size, found); },
                        buffer);
  if (!user.has_value()) {
    return groups;
  }
  int count = 64;
  std::vector<gid_t> of_user(static_cast<size_t>(count));
  if (getgrouplist(user->pw_name, user->pw_gid, of_user.data(), &count) < 0) {
    of_user.resize(static_cast<size_t>(count));
    if (getgrouplist(user->pw_name, user->pw_gid, of_user.data(), &count) < 0) {
      return groups;
    }
  }
  groups.insert(groups.end(), of_user.begin(), of_user.begin() + count);
  return groups;
}

}  // namespace

Rights RightsOf(const ucred& peer) {
  if (peer.uid == 0) {
    return Rights::kChange;
  }
  const std::vector<gid_t> groups = GroupsOf(peer);
  const auto is_member = [&groups](const char* name) {
    const std::optional<gid_t> group = GroupOf(name);
    return group.has_value() && std::find(groups.begin(), groups.end(), *group) != groups.end();
  };
  if (is_member("sluice-admin")) {
    return Rights::kChange;
  }
  return is_member("sluice") ? Rights::kRead : Rights::kNone;
}

absl::Status CheckRights(Rights rights, bool changes) {
  if (rights == Rights::kChange || (rights == Rights::kRead && !changes)) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      changes ? "changing needs root or membership of group sluice-admin: use sudo, or `usermod -aG sluice-admin USER`"
              : "reading needs root or membership of group sluice: use sudo, or `usermod -aG sluice USER`");
}

}  // namespace sluice
