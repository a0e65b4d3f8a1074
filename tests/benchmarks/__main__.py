"""``make bench``: every benchmark whose figures stand in the README, the shortest first. One alone: python -m tests.benchmarks.<name>."""

from tests.benchmarks import command_times, fashion_mnist, orchestration_tax, receiver_under_attack, whole_runs

for benchmark in (command_times, receiver_under_attack, whole_runs, orchestration_tax, fashion_mnist):
    print(f"== {benchmark.__name__.rsplit('.', 1)[-1]}: {(benchmark.__doc__ or '').splitlines()[0]}", flush=True)
    benchmark.main()
