#include "dataplane/process/handoff_fabric.h"

#include <algorithm>

#include "dataplane/contract/stats_segment.h"

namespace sluice {

void HandoffFabric::Connect(const std::vector<Lane*>& lanes, const TransmitLanes& by) {
  ConnectToKernel(lanes);
  std::vector<Lane*> sources;
  std::vector<Lane*> destinations;
  for (Lane* lane : lanes) {
    const bool stays = by.count == 0 || lane->index() < by.count;
    if (stays) {
      destinations.push_back(lane);
    }
    if (!stays || (by.every_lane && by.count > 1)) {
      sources.push_back(lane);
    }
  }
  if (!sources.empty()) {
    // Destinations listen before a source speaks.
    std::map<Key, HandoffRing*> fresh;
    for (Lane* destination : destinations) {
      for (Lane* source : sources) {
        if (source == destination) {
          continue;
        }
        auto [ring, made] = rings_.try_emplace({source, destination});
        if (made) {
          ring->second = std::make_unique<HandoffRing>();
          fresh[{source, destination}] = ring->second.get();
        }
      }
      worker_pool_.RunFor(*destination, [&] {
        for (Lane* source : sources) {
          if (const auto ring = fresh.find({source, destination}); ring != fresh.end()) {
            destination->inbox().Attach(source->index(), ring->second);
          }
        }
      });
    }
    for (Lane* source : sources) {
      worker_pool_.RunFor(*source, [&] {
        for (Lane* destination : destinations) {
          if (const auto ring = fresh.find({source, destination}); ring != fresh.end()) {
            source->outbox().Attach(destination->index(), ring->second, &destination->inbox());
          }
        }
        source->TransmitByHandoff(by.count, by.probe);
      });
    }
  }
  for (Lane* lane : destinations) {
    if (std::find(sources.begin(), sources.end(), lane) == sources.end()) {
      worker_pool_.RunFor(*lane, [&] { lane->TransmitByHandoff(0, /*probe=*/false); });
    }
  }
}

void HandoffFabric::ConnectToKernel(const std::vector<Lane*>& lanes) {
  const auto bridge =
      std::find_if(lanes.begin(), lanes.end(), [](const Lane* lane) { return lane->index() == kBridgeLane; });
  if (bridge == lanes.end()) {
    return;
  }
  for (Lane* source : lanes) {
    if (source == *bridge) {
      continue;
    }
    auto [ring, made] = rings_.try_emplace({source, *bridge});
    if (!made) {
      continue;
    }
    ring->second = std::make_unique<HandoffRing>();
    HandoffRing* const fresh = ring->second.get();
    worker_pool_.RunFor(**bridge, [&] { (*bridge)->inbox().Attach(source->index(), fresh); });
    worker_pool_.RunFor(*source, [&] { source->kernel_path().Connect(*fresh, (*bridge)->inbox()); });
  }
}

void HandoffFabric::Close(Lane& source, Lane& destination) {
  if (!rings_.contains({&source, &destination})) {
    return;
  }
  worker_pool_.RunFor(source, [&] {
    if (destination.index() == kBridgeLane) {
      source.kernel_path().Close();
    } else {
      source.outbox().Close(destination.index());
    }
  });
}

void HandoffFabric::Disconnect(Lane& source, Lane& destination) {
  const auto ring = rings_.find({&source, &destination});
  if (ring == rings_.end()) {
    return;
  }
  Close(source, destination);
  worker_pool_.RunFor(destination, [&] { destination.DrainInbox(source.index()); });
  worker_pool_.RunFor(source, [&] { source.ForgetDestination(destination.index()); });
  rings_.erase(ring);
}

}  // namespace sluice
