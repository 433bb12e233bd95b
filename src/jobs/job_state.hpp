#pragma once
// States of a job, spelled as in SQL, logs, metrics and the CLI, and every legal move between them.
// The diagram in docs/state_machine.md and the enum lockkeeper.job_state are compared with this.

#include <array>
#include <string>
#include <string_view>

namespace lockkeeper::jobs {

enum class JobState {
  queueing,
  running,
  pausing,
  paused,
  cancelling,
  rolling_back,
  rollback_done,
  cancelled,
  done,
  synced
};

/// Labels, in the order of the enum and of lockkeeper.job_state. Stored; never renamed.
constexpr std::array<std::string_view, 10> kJobStateLabels = {
    "queueing",     "running",       "pausing",   "paused", "cancelling",
    "rolling back", "rollback done", "cancelled", "done",   "synced"};

constexpr std::string_view to_string(JobState state) {
  return kJobStateLabels[static_cast<std::size_t>(state)];
}

/// Throws std::logic_error for a label that is none.
JobState job_state_from(const std::string& label);

struct JobStateEdge {
  JobState from;
  JobState to;
  std::string_view why;
};

/// Moves that this version makes. Without nodes `done` is passed inside the last transaction: a job
/// row goes from running to history as synced.
constexpr std::array<JobStateEdge, 25> kJobStateEdges = {{
    {JobState::queueing, JobState::running, "claimed"},
    {JobState::queueing, JobState::cancelled, "cancelled before it started"},
    {JobState::running, JobState::queueing, "handed back: retry, shutdown, or its worker died"},
    {JobState::running, JobState::synced, "its last step committed"},
    {JobState::running, JobState::done, "its last step committed, and there are nodes"},
    {JobState::cancelling, JobState::done, "too late, and there are nodes"},
    {JobState::pausing, JobState::done, "too late, and there are nodes"},
    {JobState::done, JobState::synced, "every node has its version"},
    {JobState::running, JobState::cancelled, "an error that a retry would not mend"},
    {JobState::running, JobState::cancelling, "cancelled while it runs"},
    {JobState::cancelling, JobState::cancelled, "its worker stopped it and took back what it did"},
    {JobState::cancelling, JobState::queueing,
     "its worker died; the next one takes back what is left"},
    {JobState::cancelling, JobState::synced, "too late: what cannot be taken back was done"},
    {JobState::queueing, JobState::paused, "paused before it started"},
    {JobState::running, JobState::pausing, "paused while it runs"},
    {JobState::running, JobState::paused, "set aside: its worker died again and again"},
    {JobState::pausing, JobState::paused, "its worker stopped it and took back what it did"},
    {JobState::pausing, JobState::cancelling, "cancelled while it was being paused"},
    {JobState::pausing, JobState::synced, "too late: what cannot be taken back was done"},
    {JobState::paused, JobState::queueing, "resumed"},
    {JobState::paused, JobState::cancelled, "cancelled"},
    {JobState::running, JobState::rolling_back, "a step failed; those before it are taken back"},
    {JobState::cancelling, JobState::rolling_back, "its steps are taken back"},
    {JobState::rolling_back, JobState::queueing, "a lock was not to be had; it goes back later"},
    {JobState::rolling_back, JobState::rollback_done, "everything was taken back"},
}};

constexpr bool is_final(JobState state) {
  return state == JobState::synced || state == JobState::cancelled ||
         state == JobState::rollback_done;
}

}  // namespace lockkeeper::jobs
