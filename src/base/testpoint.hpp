#pragma once
// Named places in a job's life where a test may end the process, hold it, or run code of its own.
// Does nothing unless LOCKKEEPER_TESTPOINT is set or a hook is installed: one atomic load.
// Any thread. Idea: userver's TESTPOINT.

#include <functional>
#include <string>

namespace lockkeeper::testpoint {

/// LOCKKEEPER_TESTPOINT is `name=kill` (SIGKILL to the own process), `name=kill@N` (at the Nth
/// arrival) or `name=stop` (SIGSTOP). Read once, at the first arrival.
void reach(const char* name);

/// Is any order or hook there? Then code that leaves testpoints out for speed must not.
bool armed();

/// Test only: calls `hook` with each name that is reached; an empty function removes it.
void set_hook(std::function<void(const std::string&)> hook);

}  // namespace lockkeeper::testpoint
