#pragma once
// The lockkeeper command. Exit codes: 0 done; 1 a job did not end well, or something failed; 2 bad
// input or usage, nothing was changed; 3 the server cannot be reached.

namespace lockkeeper::cli {

int run(int argc, char** argv);

}  // namespace lockkeeper::cli
