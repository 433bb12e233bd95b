#include "client/submitter.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "parse/parser.hpp"
#include "pg/migrator.hpp"

namespace lockkeeper::client {

struct Submitter::Waiting {
  parse::Unit unit;
  jobs::SubmitOptions options;
  std::optional<jobs::Submitted> submitted;
  std::exception_ptr error;
  [[nodiscard]] bool done() const { return submitted || error; }
};

Submitter::Submitter(pg::Dsn dsn) : dsn_(std::move(dsn)) {}
Submitter::~Submitter() = default;

long Submitter::transactions() const {
  const std::lock_guard lock(mutex_);
  return transactions_;
}

int Submitter::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(waiting_.size());
}

jobs::Submitted Submitter::submit(const std::string& sql, const jobs::SubmitOptions& options) {
  const auto own = std::make_shared<Waiting>();
  own->unit = parse::parse_one(sql);
  own->options = options;
  std::unique_lock lock(mutex_);
  waiting_.push_back(own);
  changed_.wait(lock, [&] { return own->done() || !busy_; });
  if (!own->done()) {
    // Nobody sends: this thread does, for all that wait.
    busy_ = true;
    auto all = std::exchange(waiting_, {});
    lock.unlock();
    std::exception_ptr failed;
    try {
      send(all);
    } catch (...) {  // No memory.
      failed = std::current_exception();
    }
    lock.lock();
    for (const auto& one : all)
      if (!one->done()) one->error = failed;
    busy_ = false;
    changed_.notify_all();
  }
  lock.unlock();
  if (own->error) std::rethrow_exception(own->error);
  return *own->submitted;
}

void Submitter::connect() {
  if (session_ && !session_->broken()) return;
  session_.reset();
  auto session = std::make_unique<pg::Session>(dsn_, "lockkeeper", 10000);
  pg::require_schema(*session);
  environment_ = jobs::environment_of(*session);
  session_ = std::move(session);
}

// What has a key, or refuses others, may have to wait: it goes alone, and last. The rest goes
// together by its other options.
void Submitter::send(const Companions& all) {
  std::map<std::pair<int, std::string>, Companions> groups;
  Companions alone;
  for (const auto& one : all) {
    const auto& options = one->options;
    if (options.key || options.refuse_new)
      alone.push_back(one);
    else
      groups[{options.priority, options.on_error}].push_back(one);
  }
  for (const auto& [options, group] : groups)
    for (std::size_t from = 0; from < group.size(); from += jobs::kChunk) {
      const auto begin = group.begin() + static_cast<std::ptrdiff_t>(from);
      const auto size = std::min(jobs::kChunk, group.size() - from);
      send_group({begin, begin + static_cast<std::ptrdiff_t>(size)});
    }
  for (const auto& one : alone) send_group({one});
}

std::vector<jobs::Submitted> Submitter::submit_group(const Companions& group) {
  connect();
  std::vector<parse::Unit> units;
  for (const auto& one : group) units.push_back(one->unit);
  const auto& options = group.front()->options;
  try {
    return group.size() == 1 ? jobs::submit(*session_, units, environment_, options)
                             : jobs::submit_each(*session_, units, environment_, options);
  } catch (const Error& error) {
    if (!session_->broken()) throw;
    Report report = error.report();
    report.sqlstate = "08007";
    throw Error(Retry::outcome_unknown, std::move(report), "submit");
  }
}

// Each of the group learns what became of it, under mutex_.
void Submitter::send_group(const Companions& group) {
  std::vector<jobs::Submitted> submitted;
  std::exception_ptr error;
  bool refused = false;
  try {
    submitted = submit_group(group);
  } catch (const Error& failed) {
    error = std::current_exception();
    // Something in it, not the server's state: the others may be taken without it.
    refused = failed.retry() == Retry::never && session_;
  } catch (...) {
    error = std::current_exception();
  }
  if (refused && group.size() > 1) {
    for (const auto& one : group) send_group({one});
    return;
  }
  const std::lock_guard lock(mutex_);
  ++transactions_;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (error)
      group[i]->error = error;
    else
      group[i]->submitted = submitted[i];
  }
  changed_.notify_all();
}

}  // namespace lockkeeper::client
