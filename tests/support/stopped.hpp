#pragma once
// A child process that stands still: only then has it reached its testpoint.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "support/testbed.hpp"

namespace lockkeeper::test {

/// Waits until the worker is stopped (SIGSTOP); fails when it ends instead, or after a minute.
inline ::testing::AssertionResult stands_still(WorkerProcess& worker) {
  siginfo_t info = {};
  const auto pid = static_cast<id_t>(worker.process().pid());
  const bool changed = eventually([&] {
    return waitid(P_PID, pid, &info, WSTOPPED | WEXITED | WNOWAIT | WNOHANG) == 0 &&
           info.si_pid != 0;
  });
  if (changed && info.si_code == CLD_STOPPED) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << (changed ? "it has ended" : "it does not stop") << "\n"
                                       << worker.log();
}

}  // namespace lockkeeper::test
