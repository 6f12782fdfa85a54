//! The fields of a JSON object, each taken once; what is left over is refused.

use std::collections::HashMap;

use serde_json::{Map, Value};
use tonic::Status;

/// The fields that are left. Source of the forms: protobuf documentation, "ProtoJSON format" (2026-11).
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

fn invalid(name: &str, value: &Value) -> Status {
    Status::invalid_argument(format!("Invalid value at '{name}': {value}."))
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Fields(map)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Status> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(invalid(name, &value)),
        }
    }

    pub(super) fn string(&mut self, name: &str) -> Result<String, Status> {
        let read = self.read(name, |value| value.as_str().map(str::to_owned))?;
        Ok(read.unwrap_or_default())
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<bool, Status> {
        Ok(self.read(name, Value::as_bool)?.unwrap_or_default())
    }

    /// A number, or the text of one.
    pub(super) fn number(&mut self, name: &str) -> Result<i32, Status> {
        let read = self.read(name, |value| match value {
            Value::String(text) => text.parse().ok(),
            value => i32::try_from(value.as_i64()?).ok(),
        })?;
        Ok(read.unwrap_or_default())
    }

    /// What is written as text, as durations and times are.
    pub(super) fn text<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, Status> {
        self.read(name, |value| value.as_str()?.parse().ok())
    }

    pub(super) fn strings(&mut self, name: &str) -> Result<Vec<String>, Status> {
        let read = self.read(name, |value| {
            let all = value.as_array()?.iter();
            all.map(|one| one.as_str().map(str::to_owned)).collect()
        })?;
        Ok(read.unwrap_or_default())
    }

    pub(super) fn map(&mut self, name: &str) -> Result<HashMap<String, String>, Status> {
        let read = self.read(name, |value| {
            let all = value.as_object()?.iter();
            all.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        })?;
        Ok(read.unwrap_or_default())
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields>, Status> {
        self.read(name, |value| Some(Fields(value.as_object()?.clone())))
    }

    pub(super) fn objects(&mut self, name: &str) -> Result<Vec<Fields>, Status> {
        let read = self.read(name, |value| {
            let all = value.as_array()?.iter();
            all.map(|one| Some(Fields(one.as_object()?.clone())))
                .collect()
        })?;
        Ok(read.unwrap_or_default())
    }

    /// A field mask: names as in JSON, with commas between, are named as in protobuf.
    pub(super) fn mask(&mut self, name: &str) -> Result<prost_types::FieldMask, Status> {
        let text = self.string(name)?;
        let paths = text.split(',').filter(|path| !path.is_empty());
        Ok(prost_types::FieldMask {
            paths: paths.map(snake).collect(),
        })
    }

    /// True if the field is there, and more than nothing.
    pub(super) fn has(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(all) => !all.is_empty(),
            _ => true,
        })
    }

    /// Takes what a client may send and only the server says.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Refuses what is left.
    ///
    /// # Errors
    /// INVALID_ARGUMENT.
    pub(super) fn done(self) -> Result<(), Status> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Status::invalid_argument(format!(
                "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
            ))),
        }
    }
}

fn snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn what_is_there_is_read_and_what_is_not_known_is_refused() {
        let mut some = fields(json!({
            "name": "n", "on": true, "count": "7", "kept": "600s", "labels": { "a": "b" },
            "updateMask": "labels,messageRetentionDuration", "nothing": null,
        }));
        assert_eq!(some.string("name").unwrap(), "n");
        assert!(some.boolean("on").unwrap());
        assert_eq!(some.number("count").unwrap(), 7);
        let kept: prost_types::Duration = some.text("kept").unwrap().unwrap();
        assert_eq!(kept.seconds, 600);
        assert_eq!(some.map("labels").unwrap()["a"], "b");
        let mask = some.mask("updateMask").unwrap();
        assert_eq!(mask.paths, ["labels", "message_retention_duration"]);
        assert_eq!(some.string("nothing").unwrap(), "");
        assert!(some.done().is_ok());
        let error = fields(json!({ "nmae": 1 })).done().unwrap_err();
        assert!(error.message().contains("nmae"), "{error}");
        assert!(fields(json!({ "count": {} })).number("count").is_err());
        assert!(
            fields(json!({ "kept": "long" }))
                .text::<prost_types::Duration>("kept")
                .is_err()
        );
    }
}
