"""What four STAC extensions ask of an item, as JSON schemas under the extensions' own addresses.

Written for these tests from the extensions' published field tables, for the fields our items use; the published schemas
are not copied here.
"""

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_CLASS = {
    "type": "object",
    "required": ["value", "name"],
    "properties": {
        "value": {"type": "integer"},
        "name": {"type": "string", "pattern": "^[0-9A-Za-z_-]+$"},
        "description": {"type": "string"},
        "color_hint": {"type": "string", "pattern": "^[0-9A-F]{6}$"},
        "nodata": {"type": "boolean"},
    },
}
_FIELDS = {
    "eo/v1.1.0": {"eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100}},
    "projection/v2.0.0": {
        "proj:code": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9]+:.+$"},
        "proj:shape": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        "proj:transform": {**_NUMBERS, "oneOf": [{"minItems": 6, "maxItems": 6}, {"minItems": 9, "maxItems": 9}]},
    },
    "classification/v2.0.0": {"classification:classes": {"type": "array", "minItems": 1, "items": _CLASS}},
    "processing/v1.2.0": {
        "processing:software": {"type": "object", "additionalProperties": {"type": "string"}},
        "processing:level": {"type": "string"},
        "processing:lineage": {"type": "string"},
        "processing:datetime": {"type": "string", "format": "date-time"},
    },
}


def _schema(name: str, fields: dict) -> dict:
    """Fields may stand in properties and assets; others of the same prefix are unknown."""
    address = f"https://stac-extensions.github.io/{name}/schema.json"
    prefix = next(iter(fields)).partition(":")[0]
    known = {"type": "object", "properties": fields, "patternProperties": {f"^(?!{prefix}:)": {}}}
    known["additionalProperties"] = False
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": address,
        "type": "object",
        "required": ["stac_extensions", "properties", "assets"],
        "properties": {
            "stac_extensions": {"contains": {"const": address}},
            "properties": known,
            "assets": {"additionalProperties": known},
        },
    }


SCHEMAS = {f"https://stac-extensions.github.io/{name}/schema.json": _schema(name, f) for name, f in _FIELDS.items()}
