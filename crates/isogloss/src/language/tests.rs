//! Every code of the model families has a language, and the lists below are theirs.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// `FAIRSEQ_LANGUAGE_CODES["m2m100"]` of transformers' M2M-100 tokenizer.
const M2M_100: &str = "\
    af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr \
    ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa \
    pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu";

/// The table of languages in fairseq's `examples/flores101/README.md`.
const M2M_124: &str = "\
    af am ar as ast ay az ba be bg bn br bs ca ceb cjk cs cy da de dyu el en es et fa ff fi fr fy ga gd gl gu \
    ha he hi hr ht hu hy id ig ilo is it ja jv ka kac kam kea kg kk km kmb kmr kn ko ku ky lb lg ln lo lt luo \
    lv mg mi mk ml mn mr ms mt my ne nl no ns ny oc om or pa pl ps pt qu ro ru sd shn si sk sl sn so sq sr ss \
    su sv sw ta te tg th ti tl tn tr uk umb ur uz vi wo xh yi yo zh zu";

/// File names of FLORES-101.
const FLORES_101: &str = "\
    afr amh ara hye asm ast azj bel ben bos bul mya cat ceb zho_simpl zho_trad hrv ces dan nld eng est tgl \
    fin fra ful glg lug kat deu ell guj hau heb hin hun isl ibo ind gle ita jpn jav kea kam kan kaz khm kor \
    kir lao lav lin lit luo ltz mkd msa mal mlt mri mar mon npi nob nso nya oci ory orm pus fas pol por pan \
    ron rus srp snd sna slk slv som ckb spa swh swe tgk tam tel tha tur ukr umb urd uzb vie cym wol xho yor \
    zul";

/// `FAIRSEQ_LANGUAGE_CODES` of transformers' NLLB tokenizer.
const NLLB_200: &str = "\
    ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab arb_Arab \
    ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn \
    ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl \
    cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn \
    dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn fao_Latn pes_Arab fij_Latn fin_Latn \
    fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn \
    heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn \
    jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor knc_Arab knc_Latn \
    kaz_Cyrl kbp_Latn kea_Latn khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kon_Latn kor_Hang kmr_Latn \
    lao_Laoo lvs_Latn lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn \
    luo_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl plt_Latn mlt_Latn mni_Beng \
    khk_Cyrl mos_Latn mri_Latn zsm_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn nus_Latn \
    nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pol_Latn por_Latn prs_Arab pbt_Arab \
    quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng scn_Latn shn_Mymr sin_Sinh slk_Latn \
    slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn \
    sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi \
    taq_Latn taq_Tfng tpi_Latn tsn_Latn tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab \
    ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn \
    yue_Hant zho_Hans zho_Hant zul_Latn";

fn language(code: &str) -> Language {
    code.parse().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn table_is_sorted_and_unambiguous() {
    assert!(KNOWN.is_sorted_by(|a, b| a.code < b.code));
    let mut seen = HashSet::new();
    for k in KNOWN {
        assert!(is_well_formed(k.code), "{}", k.code);
        let spellings = [k.code, k.m2m]
            .into_iter()
            .chain(k.aliases.split(' '))
            .filter(|s| !s.is_empty());
        for spelling in spellings.collect::<HashSet<_>>() {
            assert!(
                seen.insert(spelling),
                "`{spelling}` stands for two languages"
            );
        }
    }
}

#[test]
fn every_m2m_code_maps_and_comes_back() {
    for (list, count) in [(M2M_100, 100), (M2M_124, 124)] {
        let codes: HashSet<&str> = list.split_whitespace().collect();
        assert_eq!(codes.len(), count);
        let languages: HashSet<Language> = codes.iter().map(|c| language(c)).collect();
        assert_eq!(languages.len(), count, "two codes gave one language");
        for code in codes {
            assert_eq!(language(code).m2m_code(), Some(code));
        }
    }
}

#[test]
fn every_nllb_code_maps_and_comes_back() {
    let codes: Vec<&str> = NLLB_200.split_whitespace().collect();
    assert_eq!(codes.len(), 202);
    for code in &codes {
        assert_eq!(language(code).nllb_code(), Some(*code));
        assert!(*code == "sat_Beng" || language(code).code() == *code);
    }
    let with_code = Language::all_known()
        .filter(|l| l.nllb_code().is_some())
        .count();
    assert_eq!(with_code, codes.len());
}

#[test]
fn every_flores_101_code_maps_to_its_own_language() {
    let languages: HashSet<Language> = FLORES_101.split_whitespace().map(language).collect();
    assert_eq!(languages.len(), FLORES_101.split_whitespace().count());
    assert_eq!(language("zho_simpl").code(), "zho_Hans");
    assert_eq!(language("zho_trad").code(), "zho_Hant");
}

#[test]
fn aliases_give_the_canonical_code() {
    let cases = [
        ("zh", "zho_Hans"),
        ("no", "nob_Latn"),
        ("nb", "nob_Latn"),
        ("nn", "nno_Latn"),
        ("sr", "srp_Cyrl"),
        ("oc", "oci_Latn"),
        ("or", "ory_Orya"),
        ("sd", "snd_Arab"),
        ("wo", "wol_Latn"),
        ("ast", "ast_Latn"),
        ("deu", "deu_Latn"),
        ("ger", "deu_Latn"),
        ("lmo", "lmo_Latn"),
        ("ku", "ckb_Arab"),
        ("fil", "tgl_Latn"),
        ("ar", "arb_Arab"),
        ("sat_Beng", "sat_Olck"),
        ("cmn_Hans", "zho_Hans"),
        ("qaa_Latn", "qaa_Latn"),
    ];
    for (given, code) in cases {
        assert_eq!(language(given).code(), code, "{given}");
    }
}

#[test]
fn names_scripts_and_missing_codes() {
    assert_eq!(language("de").name(), Some("German"));
    assert_eq!(language("jpn_Jpan").script(), "Jpan");
    let new = language("qaa_Latn");
    assert_eq!(
        (new.name(), new.m2m_code(), new.nllb_code(), new.script()),
        (None, None, None, "Latn")
    );
    assert_eq!(language("zho_Hant").m2m_code(), None);
    assert_eq!(
        (
            language("fry_Latn").m2m_code(),
            language("fry_Latn").nllb_code()
        ),
        (Some("fy"), None)
    );
}

#[test]
fn unknown_codes_suggest_near_ones() {
    let near = |code: &str| match code.parse::<Language>() {
        Err(LanguageError::Unknown { near, .. }) => near,
        other => panic!("{code}: {other:?}"),
    };
    assert_eq!(near("deu_latn"), ["deu_Latn"]);
    assert_eq!(near("eng-Latn")[0], "eng_Latn");
    assert_eq!(near("German"), ["deu_Latn"]);
    assert_eq!(near("kam_")[0], "kam_Latn");
    assert_eq!(near("nope nope nope nope"), Vec::<&str>::new());
    assert_eq!(near(""), Vec::<&str>::new());
    let message = "deu_latn".parse::<Language>().unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown language `deu_latn` (did you mean `deu_Latn`?); a new language needs a code such as `lmo_Latn`"
    );
    for bad in [
        "Deu_Latn",
        "deu_LATN",
        "deu_Lat",
        "deu_Latnn",
        "de_Latn",
        "zzz",
        "\u{e9}\u{e9}_Latn",
        " de",
    ] {
        assert!(bad.parse::<Language>().is_err(), "{bad}");
    }
    assert!("x".repeat(1 << 20).parse::<Language>().is_err());
}

#[test]
fn directions_as_text() {
    for text in [
        "eng_Latn-deu_Latn",
        "en-de",
        "en->de",
        "eng->de",
        "en -> de",
    ] {
        let direction: Direction = text.parse().unwrap();
        assert_eq!(direction.to_string(), "eng_Latn-deu_Latn");
        assert_eq!(direction.reversed().to_string(), "deu_Latn-eng_Latn");
        assert_eq!(direction.side(LanguageSide::Source).code(), "eng_Latn");
        assert_eq!(direction.side(LanguageSide::Target).code(), "deu_Latn");
    }
    for bad in [
        "", "en", "-", "en-", "->de", "en-de-fr", "en->->de", "en-xx",
    ] {
        assert!(bad.parse::<Direction>().is_err(), "{bad}");
    }
}

#[test]
fn serde_writes_text_and_reads_any_spelling() {
    let json = serde_json::to_string(&language("de")).unwrap();
    assert_eq!(json, r#""deu_Latn""#);
    assert_eq!(
        serde_json::from_str::<Language>(r#""de""#).unwrap(),
        language("de")
    );
    let direction: Direction = serde_json::from_str(r#""en->zh""#).unwrap();
    assert_eq!(
        serde_json::to_string(&direction).unwrap(),
        r#""eng_Latn-zho_Hans""#
    );
    assert!(
        serde_json::from_str::<Language>(r#""german""#)
            .unwrap_err()
            .to_string()
            .contains("deu_Latn")
    );
    for resource in Resource::ALL {
        assert_eq!(
            serde_json::to_string(&resource).unwrap(),
            format!("\"{resource}\"")
        );
        assert_eq!(resource.as_str().parse::<Resource>().unwrap(), resource);
    }
    for side in LanguageSide::ALL {
        assert_eq!(serde_json::to_string(&side).unwrap(), format!("\"{side}\""));
        assert_eq!(side.as_str().parse::<LanguageSide>().unwrap(), side);
    }
    assert!(
        "rich"
            .parse::<Resource>()
            .unwrap_err()
            .to_string()
            .contains("high, medium, low")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_a_language_or_an_error(text in "\\PC{0,12}|[a-z]{1,3}[_-]?[A-Z]?[a-z]{0,4}") {
        if let Ok(language) = text.parse::<Language>() {
            prop_assert_eq!(language.code().parse::<Language>().ok(), Some(language.clone()));
            prop_assert_eq!(language.script().len(), 4);
        }
        if let Ok(direction) = text.parse::<Direction>() {
            prop_assert_eq!(direction.to_string().parse::<Direction>().ok(), Some(direction));
        }
    }
}
