//! Each way in which a folder may be wrong, and what is said about it.

use std::fs;

use isogloss::checkpoint;
use safetensors::Dtype;
use serde_json::{Value, json};

use super::{Folder, fixture, folder_with, message};

#[test]
fn a_wrong_setting_is_named() {
    let cases = [
        (
            "model_type",
            json!("mbart"),
            r#"`model_type` should be "m2m_100", got "mbart""#,
        ),
        (
            "model_type",
            json!(null),
            r#"`model_type` should be "m2m_100", got null"#,
        ),
        (
            "activation_function",
            json!("gelu"),
            r#"`activation_function` should be "relu", got "gelu""#,
        ),
        (
            "is_encoder_decoder",
            json!(false),
            "`is_encoder_decoder` should be true, got false",
        ),
        (
            "tie_word_embeddings",
            json!(false),
            "`tie_word_embeddings` should be true, got false",
        ),
        (
            "d_model",
            json!("16"),
            r#"`d_model` should be a whole number from 1 to 16777216, got "16""#,
        ),
        (
            "d_model",
            json!(-16),
            "`d_model` should be a whole number from 1 to 16777216, got -16",
        ),
        ("d_model", json!(1.5), "got 1.5"),
        (
            "d_model",
            json!(15),
            "`d_model` should be an even number of at least 4, got 15",
        ),
        (
            "d_model",
            json!(u64::MAX),
            "`d_model` should be a whole number from 1 to 16777216",
        ),
        (
            "encoder_attention_heads",
            json!(3),
            "`encoder_attention_heads` should be a divisor of `d_model`, which is 16, got 3",
        ),
        (
            "decoder_attention_heads",
            json!(0),
            "`decoder_attention_heads` should be a whole number from 1",
        ),
        (
            "encoder_layers",
            json!(1001),
            "`encoder_layers` should be at most 1000 layers, got 1001",
        ),
        (
            "max_position_embeddings",
            json!(16_777_216),
            "`max_position_embeddings` should be at most 16384 positions, got 16777216",
        ),
        (
            "dropout",
            json!(1.0),
            "`dropout` should be a rate of at least 0 and below 1, got 1.0",
        ),
        (
            "attention_dropout",
            json!(-0.1),
            "`attention_dropout` should be a number of at least 0, got -0.1",
        ),
        (
            "encoder_layerdrop",
            json!("x"),
            "`encoder_layerdrop` should be a number",
        ),
        (
            "scale_embedding",
            json!(1),
            "`scale_embedding` should be true or false, got 1",
        ),
        (
            "pad_token_id",
            json!(200),
            "`pad_token_id` should be below the number of rows of the embedding, 200, got 200",
        ),
        (
            "eos_token_id",
            json!([2, 3]),
            "`eos_token_id` should be the id of one token, got [2,3]",
        ),
        (
            "bos_token_id",
            json!(-1),
            "`bos_token_id` should be the id of one token, got -1",
        ),
    ];
    for (field, value, expected) in cases {
        let mut folder = Folder::new();
        folder.config[field] = value;
        let error = message(folder.open());
        assert!(
            error.contains(expected) && error.contains("config.json"),
            "{error}"
        );
    }
}

#[test]
fn sizes_have_no_default() {
    for field in [
        "d_model",
        "encoder_layers",
        "decoder_layers",
        "encoder_attention_heads",
        "decoder_attention_heads",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
        "vocab_size",
    ] {
        let mut folder = Folder::new();
        folder.config.as_object_mut().unwrap().remove(field);
        let error = message(folder.open());
        assert!(
            error.contains(&format!("`{field}` should be")) && error.contains("got nothing"),
            "{error}"
        );
    }
    for text in ["", "[]", "{\"d_model\": ", "\u{feff}{}"] {
        let dir = Folder::new().write();
        fs::write(dir.path().join("config.json"), text).unwrap();
        let error = message(checkpoint::open(dir.path()));
        assert!(
            error.contains("config.json is damaged or no model configuration"),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_tensor_is_named() {
    type Spoil = fn(&mut Folder);
    let cases: [(Spoil, &str); 13] = [
        (
            |f| {
                f.tensors
                    .retain(|t| t.0 != "model.encoder.layers.1.fc2.bias");
            },
            "tensor `encoder.layers.1.fc2.bias` of shape [16] is missing",
        ),
        (
            |f| f.tensors.retain(|t| t.0 != "model.shared.weight"),
            "tensor `shared.weight` of shape [200, 16] is missing",
        ),
        (
            |f| {
                f.copy(
                    "model.encoder.layer_norm.bias",
                    "model.encoder.adapter.bias",
                );
            },
            "unexpected tensor `model.encoder.adapter.bias` (1 in all",
        ),
        (
            |f| f.config["encoder_layers"] = json!(1),
            "unexpected tensor `model.encoder.layers.1.fc1.bias` (16 in all",
        ),
        (
            |f| f.config["decoder_layers"] = json!(3),
            "tensor `decoder.layers.2.self_attn.q_proj.weight` of shape [16, 16] is missing",
        ),
        (
            |f| f.config["decoder_ffn_dim"] = json!(64),
            "tensor `model.decoder.layers.0.fc1.weight` should have shape [64, 16], got [32, 16]",
        ),
        (
            |f| f.tensor("model.shared.weight").2 = vec![3200],
            "tensor `model.shared.weight` should have shape [200, 16], got [3200]",
        ),
        (
            |f| f.tensor("model.encoder.layers.0.fc1.weight").2 = vec![16, 32],
            "tensor `model.encoder.layers.0.fc1.weight` should have shape [32, 16], got [16, 32]",
        ),
        (
            |f| f.tensor("model.encoder.layers.0.fc1.bias").1 = Dtype::I32,
            "tensor `model.encoder.layers.0.fc1.bias` should be F32, BF16, F16 or F64, got I32",
        ),
        (
            |f| {
                f.tensor("model.encoder.layers.0.fc1.weight").3[40..44]
                    .copy_from_slice(&f32::NAN.to_le_bytes());
            },
            "tensor `model.encoder.layers.0.fc1.weight` should be finite, got NaN at index 10",
        ),
        (
            |f| {
                f.tensor("model.shared.weight").3[12796..]
                    .copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
            },
            "tensor `model.shared.weight` should be finite, got -inf at index 3199",
        ),
        (
            |f| f.copy("model.encoder.layer_norm.bias", "encoder.layer_norm.bias"),
            "tensor `encoder.layer_norm.bias` is there twice",
        ),
        (
            |f| {
                f.copy("model.shared.weight", "lm_head.weight");
                f.tensor("lm_head.weight").3[400] ^= 1;
            },
            "`shared.weight` and `lm_head.weight` should be the same tied embedding, and differ at index 100",
        ),
    ];
    for (spoil, expected) in cases {
        let mut folder = Folder::new();
        spoil(&mut folder);
        let error = message(folder.open());
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_double_that_no_float_holds_is_not_finite() {
    let mut folder = Folder::new();
    let (_, dtype, _, bytes) = folder.tensor("model.encoder.layer_norm.bias");
    *dtype = Dtype::F64;
    *bytes = [1e300f64; 16]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert!(message(folder.open()).contains("should be finite, got inf at index 0"));
}

#[test]
fn what_is_no_weight_is_ignored() {
    let mut folder = Folder::new();
    for name in [
        "final_logits_bias",
        "model.encoder.embed_positions.weights",
        "decoder.version",
        "model.decoder.embed_positions._float_tensor",
    ] {
        folder.copy("model.encoder.layer_norm.bias", name);
        folder.tensor(name).1 = Dtype::I32;
    }
    folder.open().unwrap();
}

#[test]
fn a_damaged_file_says_how() {
    let whole = Folder::new().weights();
    let cut = &whole[..whole.len() - 1];
    let mut long = whole.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let more = [&whole[..], b"x"].concat();
    let mut no_json = whole.clone();
    no_json[8] = b'[';
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is empty"),
        (
            b"1234567",
            "it should start with 8 bytes, the length of its header, and has 7",
        ),
        (cut, "are not what its header describes: it is cut short"),
        (
            &whole[..5000],
            "and the file ends after 4992: it is cut short",
        ),
        (&long, "its header should have 18446744073709551615 bytes"),
        (&more, "are not what its header describes"),
        (&no_json, "is damaged or no safetensors file"),
    ];
    for (bytes, expected) in cases {
        let error = message(checkpoint::open(
            folder_with("model.safetensors", bytes).path(),
        ));
        assert!(
            error.contains(expected) && error.contains("model.safetensors"),
            "{error}"
        );
    }
}

#[test]
fn a_folder_without_a_model_says_what_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    assert!(message(checkpoint::open(dir.path())).contains("expected config.json or model.pt"));
    assert!(
        message(checkpoint::open(&dir.path().join("none"))).contains("must be downloaded first")
    );
    let dir = folder_with("tokenizer.json", b"{}");
    assert!(
        message(checkpoint::open(dir.path()))
            .contains("expected model.safetensors or pytorch_model.bin")
    );
}

#[test]
fn an_index_must_be_true() {
    let index = fs::read(fixture("model-sharded/model.safetensors.index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let first = "model-00001-of-00002.safetensors";
    let second = "model-00002-of-00002.safetensors";
    let name = "model.decoder.layer_norm.bias";
    let open = |change: &dyn Fn(&mut Value), files: &[&str]| {
        let mut index = index.clone();
        change(&mut index);
        let dir = folder_with("model.safetensors.index.json", index.to_string().as_bytes());
        for file in files {
            fs::copy(fixture("model-sharded").join(file), dir.path().join(file)).unwrap();
        }
        checkpoint::open(dir.path())
    };
    open(&|_| {}, &[first, second]).unwrap();
    assert!(message(open(&|_| {}, &[first])).contains(&format!("{second}: No such file")));
    let elsewhere = open(
        &|i| i["weight_map"][name] = json!("../x.safetensors"),
        &[first, second],
    );
    assert!(message(elsewhere).contains("`../x.safetensors` is not the name of a file beside it"));
    let wrong = open(&|i| i["weight_map"][name] = json!(first), &[first, second]);
    assert!(message(wrong).contains(&format!("{first}: tensor `{name}`")));
    let none = open(&|i| i["weight_map"] = json!([]), &[first, second]);
    assert!(message(none).contains("is damaged or no index of shards"));
    let empty = open(&|i| i["weight_map"] = json!({}), &[first, second]);
    assert!(message(empty).contains("tensor `shared.weight` of shape [200, 16] is missing"));
}
