/** Generated from plans/std by scripts/generate-std.mjs; edit the plan files instead. */
export const STD_LIBRARY: Readonly<Record<string, string>> = {
  'std/aws': `language 1
import { l4, l40s, a10g, a100_40, a100_80, h100, h200 } from \x22std/devices\x22

// Instance types of AWS with eight devices. Counts, memory and disks are AWS's own; a sixth of the host memory is
// left to the system and to the model's weights. Links are what transfers reach, not what the bus is rated for.
//
// \`allreduce\` is tensor bytes / time at 32 MB and more, \`allreduce_latency\` what the smallest tensors take, by number of
// ranks: of g6e and p4de as aiconfigurator measured them with NCCL, of others as these say.

/// g5.48xlarge: A10G without NVLink. No measured all-reduce of it is known: the figures of g6 stand in.
topology g5_48xlarge {
  gpu[8]: a10g
  tier host { capacity: 640 GiB }
  tier nvme { capacity: 7.6 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu {
    bandwidth: 4.2 GB/s
    latency: 20 us
    allreduce: { 2: 12 GB/s, 4: 4.2 GB/s, 8: 1.03 GB/s }
    allreduce_latency: { 2: 8 us, 4: 12 us, 8: 23 us }
  }
  // 12.1 to 12.4 GB/s measured on nominal 16 GB/s.
  link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
  link host <-> nvme { bandwidth: 2 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}

/// g6.48xlarge: L4 without NVLink, PCIe 4.0 x8. 4.2 GB/s over four ranks is computed from published runs, that over eight
/// scaled from g6e as over four, that over two what the link to the host reaches; latencies are those of g6e.
topology g6_48xlarge {
  gpu[8]: l4
  tier host { capacity: 640 GiB }
  tier nvme { capacity: 7.5 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu {
    bandwidth: 4.2 GB/s
    latency: 20 us
    allreduce: { 2: 12 GB/s, 4: 4.2 GB/s, 8: 1.03 GB/s }
    allreduce_latency: { 2: 8 us, 4: 12 us, 8: 23 us }
  }
  link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
  link host <-> nvme { bandwidth: 2 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}

/// g6e.48xlarge: L40S, PCIe. All-reduce as measured with NCCL by aiconfigurator.
topology g6e_48xlarge {
  gpu[8]: l40s
  tier host { capacity: 1280 GiB }
  tier nvme { capacity: 7.6 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu {
    bandwidth: 20 GB/s
    latency: 12 us
    allreduce: { 2: 20 GB/s, 4: 3.4 GB/s, 8: 0.83 GB/s }
    allreduce_latency: { 2: 8 us, 4: 12 us, 8: 23 us }
  }
  link gpu <-> host { bandwidth: 24 GB/s, latency: 10 us }
  link host <-> nvme { bandwidth: 2 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}

/// p4d.24xlarge: A100 40 GB, NVSwitch at 300 GB/s each way. All-reduce as measured on the 80 GB card.
topology p4d_24xlarge {
  gpu[8]: a100_40
  tier host { capacity: 960 GiB }
  tier nvme { capacity: 8 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu {
    bandwidth: 230 GB/s
    latency: 8 us
    allreduce: { 2: 193 GB/s, 4: 144 GB/s, 8: 127 GB/s }
    allreduce_latency: { 2: 10 us, 4: 14 us, 8: 22 us }
  }
  link gpu <-> host { bandwidth: 20 GB/s, latency: 10 us }
  link host <-> nvme { bandwidth: 6 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}

/// p4de.24xlarge: A100 80 GB, else as p4d.
topology p4de_24xlarge {
  gpu[8]: a100_80
  tier host { capacity: 960 GiB }
  tier nvme { capacity: 8 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu {
    bandwidth: 230 GB/s
    latency: 8 us
    allreduce: { 2: 193 GB/s, 4: 144 GB/s, 8: 127 GB/s }
    allreduce_latency: { 2: 10 us, 4: 14 us, 8: 22 us }
  }
  link gpu <-> host { bandwidth: 20 GB/s, latency: 10 us }
  link host <-> nvme { bandwidth: 6 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}

/// p5.48xlarge: H100, NVSwitch at 450 GB/s each way.
topology p5_48xlarge {
  gpu[8]: h100
  tier host { capacity: 1706 GiB }
  tier nvme { capacity: 30 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu { bandwidth: 360 GB/s, latency: 6 us }
  link gpu <-> host { bandwidth: 50 GB/s, latency: 8 us }
  link host <-> nvme { bandwidth: 12 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}

/// p5en.48xlarge: H200, else as p5.
topology p5en_48xlarge {
  gpu[8]: h200
  tier host { capacity: 1706 GiB }
  tier nvme { capacity: 30 TB, path: \x22/opt/dlami/nvme/fulcrum\x22 }
  link gpu <-> gpu { bandwidth: 360 GB/s, latency: 6 us }
  link gpu <-> host { bandwidth: 50 GB/s, latency: 8 us }
  link host <-> nvme { bandwidth: 12 GB/s, latency: 90 us }
  // Of vLLM 0.5.4. Step: assumed, of the 5 to 20 ms that fit. Layer: with CUDA graphs, and request: as BLIS has them.
  overhead { step: 5 ms, layer: 32 us, request: 4 us }
}
`,
  'std/devices': `language 1

// Devices with their makers' figures for dense arithmetic, no sparsity. \`sustained\` is what large kernels reach of
// them; each says where that comes from.

/// NVIDIA L4, PCIe, 72 W. Datasheet: 24 GB, 300 GB/s, 121 TFLOPS f16, 30.3 TFLOPS f32.
device l4 {
  memory: 24 GB
  bandwidth: 300 GB/s
  compute: { f16: 121 TFLOPS, bf16: 121 TFLOPS, f32: 30.3 TFLOPS }
  // 52 TFLOPS measured in square GEMMs of 4096 and up: the card throttles at 72 W.
  // Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 43%, bandwidth: 80% }
}

/// NVIDIA A10, PCIe. Datasheet: 24 GB, 600 GB/s, 125 TFLOPS f16, 31.2 TFLOPS f32.
device a10 {
  memory: 24 GB
  bandwidth: 600 GB/s
  compute: { f16: 125 TFLOPS, bf16: 125 TFLOPS, f32: 31.2 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 65%, bandwidth: 80% }
}

/// NVIDIA A10G, the A10 of AWS g5: 70 TFLOPS f16 where the A10 has 125.
device a10g {
  memory: 24 GB
  bandwidth: 600 GB/s
  compute: { f16: 70 TFLOPS, bf16: 70 TFLOPS, f32: 31.2 TFLOPS }
  // 62.5 TFLOPS measured in a GEMM of 4096. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 89%, bandwidth: 80% }
}

/// NVIDIA L40S, PCIe. Datasheet: 48 GB, 864 GB/s, 362 TFLOPS f16, 91.6 TFLOPS f32.
device l40s {
  memory: 48 GB
  bandwidth: 864 GB/s
  compute: { f16: 362 TFLOPS, bf16: 362 TFLOPS, f32: 91.6 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 65%, bandwidth: 80% }
}

/// NVIDIA A100 40 GB, PCIe. Datasheet: 1555 GB/s, 312 TFLOPS f16, 19.5 TFLOPS f32.
device a100_40_pcie {
  memory: 40 GB
  bandwidth: 1555 GB/s
  compute: { f16: 312 TFLOPS, bf16: 312 TFLOPS, f32: 19.5 TFLOPS }
  // 241 TFLOPS measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 77%, bandwidth: 80% }
}

/// NVIDIA A100 40 GB, SXM4.
device a100_40 {
  memory: 40 GB
  bandwidth: 1555 GB/s
  compute: { f16: 312 TFLOPS, bf16: 312 TFLOPS, f32: 19.5 TFLOPS }
  // 248 TFLOPS measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 79%, bandwidth: 80% }
}

/// NVIDIA A100 80 GB, PCIe. Datasheet: 1935 GB/s.
device a100_80_pcie {
  memory: 80 GB
  bandwidth: 1935 GB/s
  compute: { f16: 312 TFLOPS, bf16: 312 TFLOPS, f32: 19.5 TFLOPS }
  // As the 40 GB card. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 77%, bandwidth: 80% }
}

/// NVIDIA A100 80 GB, SXM4. Datasheet: 2039 GB/s.
device a100_80 {
  memory: 80 GB
  bandwidth: 2039 GB/s
  compute: { f16: 312 TFLOPS, bf16: 312 TFLOPS, f32: 19.5 TFLOPS }
  // As the 40 GB card. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 79%, bandwidth: 80% }
}

/// NVIDIA H100 80 GB, PCIe. Datasheet: 2 TB/s, 756 TFLOPS f16, 51 TFLOPS f32.
device h100_pcie {
  memory: 80 GB
  bandwidth: 2 TB/s
  compute: { f16: 756 TFLOPS, bf16: 756 TFLOPS, fp8: 1513 TFLOPS, f32: 51 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 65%, bandwidth: 80% }
}

/// NVIDIA H100 80 GB, SXM5. Datasheet: 3.35 TB/s, 989 TFLOPS f16, 67 TFLOPS f32.
device h100 {
  memory: 80 GB
  bandwidth: 3.35 TB/s
  compute: { f16: 989 TFLOPS, bf16: 989 TFLOPS, fp8: 1979 TFLOPS, f32: 67 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 65%, bandwidth: 80% }
}

/// NVIDIA H200, SXM. Datasheet: 141 GB, 4.8 TB/s; arithmetic as the H100.
device h200 {
  memory: 141 GB
  bandwidth: 4.8 TB/s
  compute: { f16: 989 TFLOPS, bf16: 989 TFLOPS, fp8: 1979 TFLOPS, f32: 67 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 65%, bandwidth: 80% }
}

/// AMD Instinct MI300X. Datasheet: 192 GB, 5.3 TB/s, 1307 TFLOPS f16, 163.4 TFLOPS f32.
device mi300x {
  memory: 192 GB
  bandwidth: 5.3 TB/s
  compute: { f16: 1307 TFLOPS, bf16: 1307 TFLOPS, fp8: 2615 TFLOPS, f32: 163.4 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 50%, bandwidth: 80% }
}

/// NVIDIA GeForce RTX 4090. Ada whitepaper: 24 GB, 1008 GB/s, 165 TFLOPS f16 with f32 sums, 82.6 TFLOPS f32.
device rtx4090 {
  memory: 24 GB
  bandwidth: 1008 GB/s
  compute: { f16: 165 TFLOPS, bf16: 165 TFLOPS, f32: 82.6 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 80%, bandwidth: 80% }
}

/// Apple M2 Max, 38 GPU cores, 64 GB shared with the processor, of which the GPU may wire about three quarters.
/// Apple: 400 GB/s; 13.6 TFLOPS f32, and no faster in f16.
device m2_max {
  memory: 48 GB
  bandwidth: 400 GB/s
  compute: { f16: 13.6 TFLOPS, f32: 13.6 TFLOPS }
  // Compute: assumed, not measured. Bandwidth: the factor of NVIDIA's aiconfigurator.
  sustained: { compute: 65%, bandwidth: 80% }
}

/// Intel Iris Xe, 96 execution units at 1.35 GHz, LPDDR4x-4266 shared with the processor: 96 x 8 x 2 operations a
/// cycle are 2.07 TFLOPS f32, twice that in f16. Half of a 16 GB machine is counted as its own.
device iris_xe {
  memory: 8 GB
  bandwidth: 68 GB/s
  compute: { f16: 4.15 TFLOPS, f32: 2.07 TFLOPS }
  // Assumed, not measured.
  sustained: { compute: 50%, bandwidth: 70% }
}

/// Mesa's software Vulkan driver (lavapipe) on two cores with 256-bit vectors. OpenBLAS reaches 200 GFLOPS there;
/// the best matmul kernels in WGSL 40 to 80. Memory streams at 38 GB/s from two threads.
device lavapipe {
  memory: 1 GiB
  bandwidth: 38 GB/s
  compute: { f32: 200 GFLOPS, f16: 200 GFLOPS }
  sustained: { compute: 20%, bandwidth: 65% }
}
`,
  'std/local': `language 1
import { lavapipe } from \x22std/devices\x22

/// Any machine with a WebGPU adapter: four logical devices on it, with host memory beside them. The figures are those
/// of the software driver on two cores; the devices share whatever the adapter has.
topology workstation {
  gpu[4]: lavapipe
  tier host { capacity: 4 GiB }
  // Device to device goes through mapped buffers: 2.1 GB/s measured, 80 us for a mapping.
  link gpu <-> gpu { bandwidth: 2.1 GB/s, latency: 80 us }
  // Writing, which is what a re-shard does, reaches 6 to 13 GB/s; reading back 1.4 to 2.2.
  link gpu <-> host { bandwidth: 6 GB/s, latency: 80 us }
  // A submit is 64 us; a layer is about eight dispatches of 20 to 40 us.
  overhead { step: 400 us, layer: 240 us }
}

/// The same adapter as eight devices, for meshes that four cannot hold.
topology workstation_8 {
  gpu[8]: lavapipe
  tier host { capacity: 4 GiB }
  link gpu <-> gpu { bandwidth: 2.1 GB/s, latency: 80 us }
  link gpu <-> host { bandwidth: 6 GB/s, latency: 80 us }
  overhead { step: 400 us, layer: 240 us }
}
`,
  'std/models': `language 1

// Shapes of models in public use, enough to check, simulate and tune plans for them without their files. To run a
// model, name its folder instead: \`model mine { source: \x22hf:org/name\x22, weights: f16 }\`.

/// Llama 3.2 1B, with the embedding table as output projection.
model llama3_1b {
  family: llama
  layers: 16
  hidden: 2048
  heads: 32
  kv_heads: 8
  ffn: 8192
  vocab: 128256
  context: 131072
  tied: true
  weights: f16
}

/// Llama 3 8B.
model llama3_8b {
  family: llama
  layers: 32
  hidden: 4096
  heads: 32
  kv_heads: 8
  ffn: 14336
  vocab: 128256
  context: 8192
  weights: f16
}

/// Llama 3 70B.
model llama3_70b {
  family: llama
  layers: 80
  hidden: 8192
  heads: 64
  kv_heads: 8
  ffn: 28672
  vocab: 128256
  context: 8192
  weights: f16
}

/// Mistral 7B v0.1, with a sliding window of 4096 tokens.
model mistral_7b {
  family: mistral
  layers: 32
  hidden: 4096
  heads: 32
  kv_heads: 8
  ffn: 14336
  vocab: 32000
  context: 32768
  window: 4096
  weights: f16
}

/// Qwen 3 8B.
model qwen3_8b {
  family: qwen3
  layers: 36
  hidden: 4096
  heads: 32
  kv_heads: 8
  head_dim: 128
  ffn: 12288
  vocab: 151936
  context: 40960
  weights: f16
}
`,
};
