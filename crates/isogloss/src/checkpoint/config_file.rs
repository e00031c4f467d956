//! `config.json` of a Hugging Face folder, and the settings of a fairseq checkpoint.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::CheckpointError;
use super::fields::Fields;
use crate::model::{DType, ModelConfig};

/// Reads a `config.json`. Sizes must be there; for what else is missing the defaults of `M2M100Config` of transformers
/// hold, as they do for transformers.
pub(super) fn read(path: &Path) -> Result<ModelConfig, CheckpointError> {
    let text = fs::read_to_string(path).map_err(CheckpointError::read(path))?;
    let map: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|e| CheckpointError::malformed(path, "model configuration", e.to_string()))?;
    let fields = Fields { path, map: &map };
    if map.get("model_type").and_then(Value::as_str) != Some("m2m_100") {
        return Err(fields.wrong("model_type", r#""m2m_100""#));
    }
    fields.demand("activation_function", "relu")?;
    fields.demand("is_encoder_decoder", true)?;
    fields.demand("tie_word_embeddings", true)?;
    fields.layerdrop("encoder_layerdrop")?;
    fields.layerdrop("decoder_layerdrop")?;
    let config = ModelConfig {
        d_model: fields.size("d_model")?,
        encoder_layers: fields.layers("encoder_layers")?,
        decoder_layers: fields.layers("decoder_layers")?,
        encoder_attention_heads: fields.size("encoder_attention_heads")?,
        decoder_attention_heads: fields.size("decoder_attention_heads")?,
        encoder_ffn_dim: fields.size("encoder_ffn_dim")?,
        decoder_ffn_dim: fields.size("decoder_ffn_dim")?,
        vocab_size: fields.size("vocab_size")?,
        max_position_embeddings: fields.positions_or("max_position_embeddings", 1024)?,
        scale_embedding: fields.flag_or("scale_embedding", true)?,
        dropout: fields.dropout_or("dropout", 0.1)?,
        attention_dropout: fields.dropout_or("attention_dropout", 0.1)?,
        activation_dropout: fields.dropout_or("activation_dropout", 0.0)?,
        init_std: fields.number_or("init_std", 0.02)?,
        bos_token_id: fields.id_or("bos_token_id", 0)?,
        pad_token_id: fields.id_or("pad_token_id", 1)?,
        eos_token_id: fields.id_or("eos_token_id", 2)?,
        decoder_start_token_id: fields.id_or("decoder_start_token_id", 2)?,
    };
    check_widths(
        &fields,
        &config,
        "d_model",
        ["encoder_attention_heads", "decoder_attention_heads"],
    )?;
    Ok(config)
}

/// Reads the settings of a fairseq checkpoint; `rows` is the size of its vocabulary, which they do not hold. What an
/// older version did not write is off, as in fairseq.
pub(super) fn from_fairseq(
    path: &Path,
    map: &Map<String, Value>,
    rows: usize,
) -> Result<ModelConfig, CheckpointError> {
    let fields = Fields { path, map };
    fields.demand("activation_fn", "relu")?;
    for stack in ["encoder", "decoder"] {
        fields.demand(&format!("{stack}_learned_pos"), false)?;
        fields.layerdrop(&format!("{stack}_layerdrop"))?;
        let before = format!("{stack}_normalize_before");
        if !fields.flag_or(&before, false)? {
            return Err(fields.wrong(&before, "true (layer norm before each block)"));
        }
    }
    fields.demand("layernorm_embedding", false)?;
    fields.demand("no_token_positional_embeddings", false)?;
    let d_model = fields.size("encoder_embed_dim")?;
    fields.demand_equal("encoder_embed_dim", "decoder_embed_dim", d_model)?;
    let source = fields.positions_or("max_source_positions", 1024)?;
    let relu_dropout = fields.dropout_or("relu_dropout", 0.0)?;
    let config = ModelConfig {
        d_model,
        encoder_layers: fields.layers("encoder_layers")?,
        decoder_layers: fields.layers("decoder_layers")?,
        encoder_attention_heads: fields.size("encoder_attention_heads")?,
        decoder_attention_heads: fields.size("decoder_attention_heads")?,
        encoder_ffn_dim: fields.size("encoder_ffn_embed_dim")?,
        decoder_ffn_dim: fields.size("decoder_ffn_embed_dim")?,
        vocab_size: rows,
        max_position_embeddings: fields
            .positions_or("max_target_positions", source)?
            .min(source),
        scale_embedding: !fields.flag_or("no_scale_embedding", false)?,
        dropout: fields.dropout_or("dropout", 0.1)?,
        attention_dropout: fields.dropout_or("attention_dropout", 0.0)?,
        activation_dropout: fields.dropout_or("activation_dropout", relu_dropout)?,
        init_std: 0.02,
        // The order of fairseq's dictionary; its decoder starts from the end of a sentence.
        bos_token_id: 0,
        pad_token_id: 1,
        eos_token_id: 2,
        decoder_start_token_id: 2,
    };
    let heads = ["encoder_attention_heads", "decoder_attention_heads"];
    check_widths(&fields, &config, "encoder_embed_dim", heads)?;
    Ok(config)
}

fn check_widths(
    fields: &Fields<'_>,
    config: &ModelConfig,
    width: &str,
    heads: [&str; 2],
) -> Result<(), CheckpointError> {
    let d = config.d_model;
    // A row of positions is d/2 sines and d/2 cosines, of frequencies spaced by 1 / (d/2 - 1).
    if d < 4 || !d.is_multiple_of(2) {
        return Err(fields.wrong(width, "an even number of at least 4"));
    }
    let each = [
        config.encoder_attention_heads,
        config.decoder_attention_heads,
    ];
    for (field, heads) in heads.into_iter().zip(each) {
        if !d.is_multiple_of(heads) {
            return Err(fields.wrong(field, format!("a divisor of `{width}`, which is {d}")));
        }
    }
    Ok(())
}

/// Refuses special tokens that the vocabulary has no row for.
pub(super) fn check_tokens(path: &Path, config: &ModelConfig) -> Result<(), CheckpointError> {
    let tokens = [
        ("bos_token_id", config.bos_token_id),
        ("pad_token_id", config.pad_token_id),
        ("eos_token_id", config.eos_token_id),
        ("decoder_start_token_id", config.decoder_start_token_id),
    ];
    for (field, id) in tokens {
        if id as usize >= config.vocab_size {
            return Err(CheckpointError::Config {
                path: path.to_owned(),
                field: field.to_owned(),
                expected: format!(
                    "below the number of rows of the embedding, {}",
                    config.vocab_size
                ),
                got: id.to_string(),
            });
        }
    }
    Ok(())
}

/// The `config.json` of a configuration, as transformers reads it.
pub(super) fn to_json(c: &ModelConfig, dtype: DType) -> Value {
    let dtype = match dtype {
        DType::F32 | DType::Int8 => "float32",
        DType::Bf16 => "bfloat16",
    };
    // Numbers of `f32` are written as the shortest decimals that give them again, not as the doubles nearest to them.
    let rate = |x: f32| x.to_string().parse::<f64>().unwrap_or(f64::from(x));
    json!({
        "architectures": ["M2M100ForConditionalGeneration"],
        "model_type": "m2m_100",
        "is_encoder_decoder": true,
        "activation_function": "relu",
        "d_model": c.d_model,
        "encoder_layers": c.encoder_layers,
        "decoder_layers": c.decoder_layers,
        "num_hidden_layers": c.encoder_layers,
        "encoder_attention_heads": c.encoder_attention_heads,
        "decoder_attention_heads": c.decoder_attention_heads,
        "encoder_ffn_dim": c.encoder_ffn_dim,
        "decoder_ffn_dim": c.decoder_ffn_dim,
        "vocab_size": c.vocab_size,
        "max_position_embeddings": c.max_position_embeddings,
        "scale_embedding": c.scale_embedding,
        "tie_word_embeddings": true,
        "dropout": rate(c.dropout),
        "attention_dropout": rate(c.attention_dropout),
        "activation_dropout": rate(c.activation_dropout),
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
        "init_std": rate(c.init_std),
        "bos_token_id": c.bos_token_id,
        "pad_token_id": c.pad_token_id,
        "eos_token_id": c.eos_token_id,
        "decoder_start_token_id": c.decoder_start_token_id,
        "use_cache": true,
        // Both names: transformers 5 writes the second, versions before 4.56 know the first only.
        "torch_dtype": dtype,
        "dtype": dtype,
    })
}

/// The `generation_config.json` that the models of the family come with.
pub(super) fn generation_json(c: &ModelConfig) -> Value {
    json!({
        "bos_token_id": c.bos_token_id,
        "pad_token_id": c.pad_token_id,
        "eos_token_id": c.eos_token_id,
        "decoder_start_token_id": c.decoder_start_token_id,
        "early_stopping": true,
        "max_length": 200.min(c.max_position_embeddings),
        "num_beams": 5,
    })
}
