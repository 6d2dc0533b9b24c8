# What sharding 1.0.0 chooses among GPUs and CPUs, and how many bytes each device gets: no plan, no words.
package sharding

import rego.v1

rank := {"CudaGpu": 60, "RocmGpu": 50, "Cpu": 10}

multiplier := {"CudaGpu": 20, "RocmGpu": 15, "Cpu": 1}

weights := floor((input.params * input.bits) / 8)

needed := weights + floor(weights / 5)

available := [d | some d in input.devices; d.available]

top := max([rank[d.kind] | some d in available])

preferred := [d | some d in available; rank[d.kind] == top]

best := preferred[count(preferred) - 1]

pool := [d | some d in available; d.kind != "Cpu"]

pool_memory := sum([d.memory_bytes | some d in pool])

nvswitch if {
	some i in input.interconnects
	i.kind == "NVSwitch"
}

high_bw := max(array.concat([0], [i.bandwidth_gbps | some i in input.interconnects]))

joined if nvswitch

joined if {
	high_bw > 100
	count(pool) <= 8
}

match := "nothing-available" if {
	count(available) == 0
} else := "single-device" if {
	needed <= best.memory_bytes
} else := "tensor-parallel" if {
	pool_memory >= needed
	joined
} else := "pipeline-parallel" if {
	pool_memory >= needed
} else := "cpu"

shard_memory_bytes := floor(((needed + count(pool)) - 1) / count(pool))

slowest := min([multiplier[d.kind] | some d in pool])

decision := {"match": match, "shard_memory_bytes": shard_memory_bytes, "slowest": slowest}
