#include "cli/progress.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <csignal>
#include <iostream>

#include "base/error.hpp"
#include "client/client.hpp"

namespace lockkeeper::cli {
namespace {

constexpr std::size_t kIdsMost = 10;
constexpr std::size_t kMessageMost = 400;
std::string on_interrupt;  // what the handler of SIGINT writes

constexpr std::size_t kLines = 20;  // at most; and no more than the terminal has

std::string line_of(const Json& job, bool with_time) {
  const auto progress = with_time ? progress_words(job) : std::string();
  const std::string time = with_time || client::is_final_state(cell(job["state"]))
                               ? duration(job["seconds"].get<double>())
                               : "";
  return fmt::format("job {:<5} {:<27} {:<16} {:>9}  {}", job["id"].get<long>(),
                     state_words(job) + (progress.empty() ? "" : " " + progress),
                     cell(job["action"]), time, one_line(cell(job["statement"])));
}

}  // namespace

std::string in_the_way(const Json& job) {
  if (job.contains("held") && job["held"].is_string()) return job["held"].get<std::string>();
  const auto state = cell(job["state"]);
  if (!job["error"].is_object() || (state != "queueing" && state != "done")) return {};
  const std::string message = job["error"].value("message", "");
  const std::string begin = "waits for ";
  return message.compare(0, begin.size(), begin) == 0
             ? message.substr(begin.size(), message.find(',') - begin.size())
             : std::string();
}

std::string progress_words(const Json& job) {
  const Json progress = job.value("progress", Json());
  if (!progress.is_object() || cell(job["state"]) != "running" || progress["percent"].is_null())
    return {};
  std::string words = cell(progress["percent"]) + " %";
  if (!progress["rows_per_second"].is_null())
    words += ", " + cell(progress["rows_per_second"]) + " rows/s";
  if (!progress["seconds_left"].is_null())
    words += ", " + duration(progress["seconds_left"].get<double>()) + " left";
  if (!progress["throttled"].is_null()) words += ", held back: " + cell(progress["throttled"]);
  return words;
}

std::string state_words(const Json& job) {
  std::string words = cell(job["state"]);
  if (const auto& dependency = job["dependency_id"]; !dependency.is_null())
    words += ", waits for " + dependency.dump();
  else if (const auto blocker = in_the_way(job); !blocker.empty())
    words += ", waits for " + blocker;
  else if (words == "queueing" && job["tries"].get<int>() > 0)
    words += ", try " + std::to_string(job["tries"].get<int>() + 1) + " after " +
             (job["error"].is_object() ? job["error"].value("sqlstate", "") : "");
  return words;
}

void Progress::show(const std::vector<Json>& jobs) {
  if (style_ == Style::none) return;
  if (live_)
    redraw(jobs);
  else
    print_changes(jobs);
}

void Progress::redraw(const std::vector<Json>& jobs) {
  std::vector<std::string> lines;
  std::size_t ended = 0;
  std::size_t well = 0;
  // The cursor cannot go back above the first line of the screen.
  const auto height = static_cast<std::size_t>(std::max(terminal_height(), 4));
  const auto most = std::min(kLines, height - 2);
  const bool many = jobs.size() > most;
  for (const auto& job : jobs) {
    const bool final = client::is_final_state(cell(job["state"]));
    ended += final ? 1U : 0U;
    well += cell(job["state"]) == "synced" ? 1U : 0U;
    // Of many jobs, those that are still to come, and those that went wrong.
    if (many && (lines.size() >= most || (final && cell(job["state"]) == "synced"))) continue;
    lines.push_back(line_of(job, true));
  }
  if (many)
    lines.push_back(fmt::format("{} of {} ended, {} of them well", ended, jobs.size(), well));
  if (drawn_ > 0) std::cout << "\x1b[" << drawn_ << "A";
  const auto width = static_cast<std::size_t>(terminal_width());
  for (const auto& line : lines) std::cout << cut(line, width) << "\x1b[K\n";
  std::cout << "\x1b[J" << std::flush;  // What is left of a longer picture.
  drawn_ = lines.size();
}

void Progress::print_changes(const std::vector<Json>& jobs) {
  for (const auto& job : jobs) {
    std::string& last = seen_[job["id"].get<long>()];
    std::string words = state_words(job);
    if (last == words) continue;
    last = std::move(words);
    if (style_ == Style::json)
      std::cout << job.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
    else
      std::cout << line_of(job, false) << std::endl;
  }
}

void Progress::finish(const std::vector<Json>& jobs) const {
  if (style_ != Style::text) return;
  for (const auto& job : jobs)
    if (job["error"].is_object() && client::is_final_state(cell(job["state"])))
      std::cerr << "job " << job["id"] << ": " << pretty_error(job["error"], cell(job["statement"]))
                << std::endl;
}

void Progress::interrupted() {
  std::cerr << "the connection was lost, and is sought for a minute; the jobs go on" << std::endl;
  drawn_ = 0;
}

TellOnInterrupt::TellOnInterrupt(const std::vector<JobId>& jobs) {
  std::string ids;
  for (std::size_t i = 0; i < jobs.size() && i < kIdsMost; ++i) ids += " " + jobs[i].str();
  if (jobs.size() > kIdsMost) ids = "";
  const std::string text = std::string("\nwhat was submitted goes on: lockkeeper ") +
                           (ids.empty() ? "watch" : "watch" + ids + ", or cancel" + ids) + "\n";
  on_interrupt = text.substr(0, kMessageMost);
  struct sigaction action = {};
  action.sa_handler = [](int) {
    // write() and _exit() are all that a handler may call.
    const auto written = write(STDERR_FILENO, on_interrupt.data(), on_interrupt.size());
    _exit(written < 0 ? 1 : 130);
  };
  sigaction(SIGINT, &action, nullptr);
}

TellOnInterrupt::~TellOnInterrupt() { std::signal(SIGINT, SIG_DFL); }

}  // namespace lockkeeper::cli
