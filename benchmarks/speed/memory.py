"""How much memory do a stylization and a train step need, by the compiler's own account?

    python -m benchmarks memory --sizes 512 1024 2048

Nothing is run: programs are compiled and their memory analysis is read. The largest resident memory
of a real run is in the results of `train`.
"""

from benchmarks.harness import command_line, nets, records, timing
from benchmarks.speed import stylize, train


def main(options: command_line.Settings) -> dict:
  """Prints the table and returns the result."""
  wanted = [
    *stylize.cases(options),
    train.transfer_case(nets.config(options), batch=max(options.batch, 2), size=128),
  ]
  rows = []
  for case in wanted:
    memory = case.compiled.memory_analysis()
    rows.append(
      {
        "case": case.name,
        **case.about,
        "arguments_mib": memory.argument_size_in_bytes / 2**20,
        "results_mib": memory.output_size_in_bytes / 2**20,
        "temporary_mib": memory.temp_size_in_bytes / 2**20,
        "peak_mib": timing.peak_mib(memory),
      }
    )
  return records.report("memory", options, {"rows": rows})


if __name__ == "__main__":
  command_line.command(main, command_line.Settings, __doc__)
