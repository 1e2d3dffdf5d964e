//! Schema and serde agree: what one takes, the other takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

use serde::de::DeserializeOwned;

fn agree<T: DeserializeOwned>(schema: &str, good: &[&str], bad: &[&str]) {
    let schema = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for text in good {
        let value = serde_json::from_str(text).unwrap();
        assert!(validator.is_valid(&value), "the schema refuses {text}");
        assert!(travel_plugin::params::<T>(text).is_ok(), "serde refuses {text}");
    }
    for text in bad {
        let value = serde_json::from_str(text).unwrap();
        assert!(!validator.is_valid(&value), "the schema takes {text}");
        assert!(travel_plugin::params::<T>(text).is_err(), "serde takes {text}");
    }
}

#[test]
fn orchestrate_parameters() {
    agree::<plugin_travel::orchestrate::Params>(
        plugin_travel::orchestrate::SCHEMA,
        &["{}", r#"{"chain":false}"#, r#"{"anchor_hold":1}"#, r#"{"anchor_hold":1000,"last_frame_duplication":0}"#],
        &[
            r#"{"chain":1}"#,
            r#"{"anchor_hold":0}"#,
            r#"{"anchor_hold":1001}"#,
            r#"{"anchor_hold":1.5}"#,
            r#"{"last_frame_duplication":-1}"#,
            r#"{"hold":1}"#,
        ],
    );
}

#[test]
fn guide_parameters() {
    let mut good = vec![
        "{}".to_owned(),
        r#"{"fit":"blur","desaturate_subsequent_starting_frames":1}"#.to_owned(),
        r#"{"subsequent_starting_strength_adjustment":-1,"adjust_brightness_subsequent_starting_frames":0.5}"#
            .to_owned(),
        r#"{"fade_in":{"low_point":0.0,"high_point":1.0,"curve_type":"ease_in_out","duration_factor":0.0}}"#.to_owned(),
    ];
    for name in travel::easing::Easing::NAMES {
        good.push(format!(r#"{{"fade_out":{{"curve_type":"{name}"}}}}"#));
    }
    let good: Vec<&str> = good.iter().map(String::as_str).collect();
    agree::<plugin_travel::guide::Params>(
        plugin_travel::guide::SCHEMA,
        &good,
        &[
            r#"{"fit":"crop"}"#,
            r#"{"fade_in":{"curve_type":"bouncy"}}"#,
            r#"{"fade_in":{"duration_factor":1.1}}"#,
            r#"{"fade_in":{"low_point":-0.1}}"#,
            r#"{"fade_in":{"lowpoint":0.1}}"#,
            r#"{"fade_in":null}"#,
            r#"{"desaturate_subsequent_starting_frames":-0.1}"#,
            r#"{"subsequent_starting_strength_adjustment":"0"}"#,
            r#"{"brightness":0}"#,
        ],
    );
}

#[test]
fn crossfade_parameters() {
    agree::<plugin_travel::crossfade::Params>(
        plugin_travel::crossfade::SCHEMA,
        &[
            "{}",
            r#"{"curve":"original"}"#,
            r#"{"curve":"linear","colour_match":"decay","sharpen":0.5}"#,
            r#"{"crossfade_sharp_amt":0.3}"#,
        ],
        &[
            r#"{"curve":"cubic"}"#,
            r#"{"colour_match":"on"}"#,
            r#"{"sharpen":2}"#,
            r#"{"sharpen":0.1,"crossfade_sharp_amt":0.1}"#,
            r#"{"color_match":"off"}"#,
        ],
    );
}

#[test]
fn defaults_in_the_schemas_are_the_defaults() {
    let guide: serde_json::Value = serde_json::from_str(plugin_travel::guide::SCHEMA).unwrap();
    let params = serde_json::to_value(plugin_travel::guide::Params::default()).unwrap();
    for (name, property) in guide["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            let (default, actual) = (default.clone(), params[name].clone());
            assert!(default == actual || default.as_f64() == actual.as_f64(), "{name}: {default} and {actual}");
        }
    }
    let fade = serde_json::to_value(plugin_travel::guide::Fade::default()).unwrap();
    for (name, property) in guide["$defs"]["fade"]["properties"].as_object().unwrap() {
        let (default, actual) = (property["default"].clone(), fade[name].clone());
        assert!(default == actual || default.as_f64() == actual.as_f64(), "{name}: {default} and {actual}");
    }
}
